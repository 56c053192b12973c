package engine_test

import (
	"testing"

	"github.com/kubernaut-ai/kubernaut/pkg/engine"
)

func TestFindings(t *testing.T) {
	ordinary := engine.Host{CapSysResource: true, NoFile: 1 << 20, NProc: 1 << 20, MemoryAvailable: 16 << 30}
	for name, c := range map[string]struct {
		engine engine.Engine
		host   func(engine.Host) engine.Host
		check  string
		level  engine.Level
	}{
		"good":                  {engine.Engine{Name: engine.Podman, Version: "4.3.1"}, nil, "engine", engine.OK},
		"old podman":            {engine.Engine{Name: engine.Podman, Version: "3.4.4"}, nil, "engine", engine.Stop},
		"old docker":            {engine.Engine{Name: engine.Docker, Version: "19.03.1"}, nil, "engine", engine.Stop},
		"docker, no capability": {engine.Engine{Name: engine.Docker, Version: "28.0.0"}, func(h engine.Host) engine.Host { h.CapSysResource = false; return h }, "capabilities", engine.Stop},
		"podman, no capability": {engine.Engine{Name: engine.Podman, Version: "4.3.1"}, func(h engine.Host) engine.Host { h.CapSysResource = false; return h }, "capabilities", engine.OK},
		"few files":             {engine.Engine{Name: engine.Podman, Version: "4.3.1"}, func(h engine.Host) engine.Host { h.NoFile = 1024; return h }, "rlimits", engine.Warn},
		"little memory":         {engine.Engine{Name: engine.Podman, Version: "4.3.1"}, func(h engine.Host) engine.Host { h.MemoryAvailable = 1 << 30; return h }, "memory", engine.Stop},
	} {
		t.Run(name, func(t *testing.T) {
			host := ordinary
			if c.host != nil {
				host = c.host(host)
			}
			for _, f := range c.engine.Findings(host) {
				if f.Check == c.check && (f.Level != c.level || f.Level == engine.Stop && f.Mend == "") {
					t.Errorf("%+v, want %s and how to mend it", f, c.level)
				}
			}
		})
	}
}
