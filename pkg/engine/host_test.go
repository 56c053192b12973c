package engine

import "testing"

func TestCapability(t *testing.T) {
	for name, c := range map[string]struct {
		status string
		want   bool
	}{
		"root of an ordinary host":      {"CapEff:\t000001ffffffffff\nCapBnd:\t000001ffffffffff\n", true},
		"ordinary user":                 {"CapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\n", true},
		"root without CAP_SYS_RESOURCE": {"CapEff:\t000001fffeffffff\nCapBnd:\t000001fffeffffff\n", false},
		"user without CAP_SYS_RESOURCE": {"CapEff:\t0000000000000000\nCapBnd:\t000001fffeffffff\n", false},
		"nothing said":                  {"Name:\tx\n", true},
		"not a number":                  {"CapBnd:\tzz\n", false},
	} {
		if got := capability([]byte(c.status), capSysResource); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
