package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestOwned(t *testing.T) {
	now := time.Now()
	self, other := OwnerOf("mine", selfPID), OwnerOf("other", selfPID)
	node := container{ID: "c1", Name: "x-control-plane", ImageID: "img", Created: now}
	whole := func(o Owner) *Record { return &Record{Owner: o, Phase: ready, Nodes: []Node{{ID: "c1"}}} }
	for name, c := range map[string]struct {
		facts facts
		ours  bool
	}{
		"nothing there":              {facts{}, true},
		"container without record":   {facts{nodes: []container{node}}, false},
		"ours, this run":             {facts{record: whole(self), nodes: []container{node}, alive: true}, true},
		"ours, run is dead":          {facts{record: whole(dead("old")), nodes: []container{node}}, true},
		"another run lives":          {facts{record: whole(other), nodes: []container{node}, alive: true}, false},
		"another run begins":         {facts{record: &Record{Owner: other, Phase: creating}, alive: true}, false},
		"record of a dead run only":  {facts{record: whole(dead("old"))}, true},
		"container is not the one":   {facts{record: &Record{Owner: dead("old"), Phase: ready, Nodes: []Node{{ID: "c0"}}}, nodes: []container{node}}, false},
		"half made":                  {facts{record: &Record{Owner: dead("old"), Phase: creating, ImageID: "img", Started: now.Add(-time.Minute)}, nodes: []container{node}}, true},
		"half made, older container": {facts{record: &Record{Owner: dead("old"), Phase: creating, ImageID: "img", Started: now.Add(time.Minute)}, nodes: []container{node}}, false},
		"half made, other image":     {facts{record: &Record{Owner: dead("old"), Phase: creating, ImageID: "else", Started: now}, nodes: []container{node}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c.facts.self = self
			err := c.facts.owned("x")
			if (err == nil) != c.ours || err != nil && !errors.Is(err, ErrNotOurs) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestDecide(t *testing.T) {
	now := time.Now()
	table := []Port{{Node: 30088, Host: 8088}}
	equal := Record{
		Owner: dead("old"), Phase: ready, Mode: Dev, ImageID: "img", ConfigHash: "h", Engine: "podman", Kubeconfig: "k",
		Expires: now.Add(time.Hour), Ports: map[int32]int32{30088: 8088}, Nodes: []Node{{Name: "n", ID: "c1"}},
	}
	for name, c := range map[string]struct {
		change func(old, want *Record, node *container)
		mode   PortMode
		action Action
		says   string
	}{
		"equal":             {nil, Auto, Adopted, ""},
		"other image":       {func(_, w *Record, _ *container) { w.ImageID = "new" }, Auto, Recreated, "node image img is now new"},
		"other config":      {func(_, w *Record, _ *container) { w.ConfigHash = "g" }, Auto, Recreated, "kind config h is now g"},
		"other engine":      {func(_, w *Record, _ *container) { w.Engine = "docker" }, Auto, Recreated, "engine podman is now docker"},
		"ci":                {func(_, w *Record, _ *container) { w.Mode = CI }, Auto, Recreated, "mode ci"},
		"ci, this run":      {func(o, w *Record, _ *container) { w.Mode = CI; o.Owner.RunID = "mine" }, Auto, Adopted, ""},
		"expired":           {func(o, _ *Record, _ *container) { o.Expires = now.Add(-time.Second) }, Auto, Recreated, "expired"},
		"half made":         {func(o, _ *Record, _ *container) { o.Phase = creating }, Auto, Recreated, "half made by run old"},
		"moved ports":       {func(o, _ *Record, _ *container) { o.Ports = map[int32]int32{30088: 40000} }, Auto, Adopted, ""},
		"moved ports fixed": {func(o, _ *Record, _ *container) { o.Ports = map[int32]int32{30088: 40000} }, Fixed, Recreated, "host ports [40000]"},
		"stopped":           {func(_, _ *Record, n *container) { n.Running = false }, Auto, Recreated, "node n is stopped"},
		"one node gone":     {func(o, _ *Record, _ *container) { o.Nodes = append(o.Nodes, Node{Name: "w", ID: "c2"}) }, Auto, Recreated, "node w is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			old, want, node := equal, equal, container{ID: "c1", Running: true}
			if c.change != nil {
				c.change(&old, &want, &node)
			}
			f := facts{record: &old, nodes: []container{node}, self: OwnerOf("mine", selfPID)}
			action, reasons := f.decide(want, c.mode, table, now)
			if action != c.action || !strings.Contains(strings.Join(reasons, "; "), c.says) || (len(reasons) > 0) != (c.action == Recreated) {
				t.Errorf("%s %v", action, reasons)
			}
		})
	}
}

func TestOwnerIsAliveOnlyAsItself(t *testing.T) {
	self := OwnerOf("r", selfPID)
	if !self.Alive() {
		t.Error("this very process is dead")
	}
	reused := self
	reused.Start += "0"
	if reused.Alive() || dead("r").Alive() || (Owner{}).Alive() {
		t.Error("a reused pid, a pid of before the boot, or none is alive")
	}
}
