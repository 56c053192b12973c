package cluster

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/kubernaut-ai/kubernaut/pkg/engine"
)

func TestChoosePorts(t *testing.T) {
	table := []Port{{30088, 8088}, {30081, 8091}}
	none := func(int32) bool { return false }
	one := func(port int32) bool { return port == 8088 }
	for name, c := range map[string]struct {
		mode  PortMode
		taken func(int32) bool
		fixed bool
		note  bool
		fails bool
	}{
		"fixed":        {Fixed, none, true, false, false},
		"fixed, taken": {Fixed, one, false, false, true},
		"auto":         {Auto, none, true, false, false},
		"auto, taken":  {Auto, one, false, true, false},
		"free":         {Free, none, false, false, false},
		"unknown":      {"any", none, false, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			ports, note, err := choosePorts(c.mode, table, c.taken)
			if (err != nil) != c.fails || (note != "") != c.note {
				t.Fatalf("ports %v, note %q, error %v", ports, note, err)
			}
			if c.mode == Fixed && c.fails && (!errors.Is(err, ErrPort) || !strings.Contains(err.Error(), "8088")) {
				t.Errorf("error %v", err)
			}
			if err == nil && (len(ports) != 2 || ports[30088] == ports[30081] || (ports[30088] == 8088) != c.fixed) {
				t.Errorf("ports %v", ports)
			}
		})
	}
}

func TestHolderIsNamed(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := int32(l.Addr().(*net.TCPAddr).Port)
	if !listens(port) {
		t.Error("the port counts as free")
	}
	if got := holder(port); !strings.Contains(got, "process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("holder is %q", got)
	}
}

func TestPortFinding(t *testing.T) {
	table := []Port{{30088, 8088}}
	taken := map[int32]string{8088: "nginx (process 7)"}
	for mode, want := range map[PortMode]engine.Level{Fixed: engine.Stop, Auto: engine.Warn, Free: engine.OK} {
		if f := ports(table, taken, mode); f.Level != want || !strings.Contains(f.Measured, "nginx") {
			t.Errorf("%s: %+v", mode, f)
		}
		if f := ports(table, nil, mode); f.Level != engine.OK {
			t.Errorf("%s, free: %+v", mode, f)
		}
	}
}
