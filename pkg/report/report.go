// Package report writes what a finished run was: run.json, trace.json and
// junit.xml for machines; summary.md, timings.md and timeline.html for people.
// All but run.json are made of run.json and nothing else.
package report

import (
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// Version of run.json; changes within it are additive.
const Version = 1

// Run is run.json. Times are RFC 3339 in UTC, spans in seconds, sizes in bytes.
type Run struct {
	Version  int       `json:"version"`
	ID       string    `json:"id"`
	Group    string    `json:"group"`
	Result   string    `json:"result"` // passed, failed or cancelled
	ExitCode int       `json:"exitCode"`
	Mode     string    `json:"mode"` // dev or ci
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended"`
	Command  string    `json:"command"`

	Host         Host             `json:"host"`
	Tree         Tree             `json:"tree"`
	Images       []Image          `json:"images"`
	Loads        []Load           `json:"loads"`
	Stages       []Stage          `json:"stages"`
	Groups       map[string]Group `json:"groups"`
	CriticalPath []Share          `json:"criticalPath"`
	WhatIf       []WhatIf         `json:"whatIf"`
	Specs        []Spec           `json:"specs"`
	Notes        []string         `json:"notes"`
}

// Host is where it ran.
type Host struct {
	OS            string `json:"os"`
	Arch          string `json:"arch"`
	Cores         int    `json:"cores"`
	MemoryBytes   int64  `json:"memoryBytes"`
	Engine        string `json:"engine"`
	EngineVersion string `json:"engineVersion"`
	Cgroup        string `json:"cgroup"`
	ImageSource   string `json:"imageSource"`
}

// Tree is what was tested.
type Tree struct {
	Commit string `json:"commit"`
	Dirty  bool   `json:"dirty"`
	Hash   string `json:"hash"`
}

// Image is one image's decision and, when it was built, its cost.
type Image struct {
	Name        string    `json:"name"`
	Reference   string    `json:"reference"`
	InputDigest string    `json:"inputDigest"`
	ImageID     string    `json:"imageId"`
	Decision    string    `json:"decision"` // reuse or build
	Reason      string    `json:"reason"`
	Cache       string    `json:"cache"` // cold, warm, reused, or unknown
	Seconds     float64   `json:"seconds"`
	PeakBytes   int64     `json:"peakBytes"`
	SizeBytes   int64     `json:"sizeBytes"`
	Attempts    []Attempt `json:"attempts"`
}

// Attempt is one engine build.
type Attempt struct {
	Result string `json:"result"`
	Fault  string `json:"fault,omitempty"`
}

// Load is one image on one node.
type Load struct {
	Image        string  `json:"image"`
	Node         string  `json:"node"`
	Method       string  `json:"method"` // present or full
	BytesSent    int64   `json:"bytesSent"`
	BytesSkipped int64   `json:"bytesSkipped"`
	LayersSent   int     `json:"layersSent"`
	Seconds      float64 `json:"seconds"`
	Verified     bool    `json:"verified"`
}

// Stage is a stage's record with its place on the critical path.
type Stage struct {
	stage.Record
	OnCriticalPath bool    `json:"onCriticalPath"`
	Slack          float64 `json:"slack"` // seconds it could have taken longer before the run had ended later
}

// Group is the time of a stage group: first start to last end, and the sum of its stages.
type Group struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	Wall  float64   `json:"wall"`
	Busy  float64   `json:"busy"`
}

// Share is a stage of the critical path with its part of the run's wall time.
type Share struct {
	Stage   string  `json:"stage"`
	Seconds float64 `json:"seconds"` // from the end of what it waited for to its own
	Waited  float64 `json:"waited"`  // of that, for tokens that no other stage is known to have held
	Share   float64 `json:"share"`
}

// WhatIf is how much earlier the run had ended had the stage taken no time and no tokens.
type WhatIf struct {
	Stage   string  `json:"stage"`
	Seconds float64 `json:"seconds"`
}

// Spec is one spec of the suite.
type Spec struct {
	ID       string    `json:"id"`
	Text     string    `json:"text"`
	Outcome  string    `json:"outcome"` // pass, flaky or fail
	Started  time.Time `json:"started,omitzero"`
	Seconds  float64   `json:"seconds"`
	Attempts int       `json:"attempts"`
	Process  int       `json:"process"`
	Failure  string    `json:"failure,omitempty"`
	Bundle   string    `json:"bundle,omitempty"`
}
