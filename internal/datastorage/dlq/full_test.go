package dlq

import (
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"
)

// refusal is an answer of Redis.
type refusal string

func (r refusal) Error() string { return string(r) }
func (refusal) RedisError()     {}

var _ redis.Error = refusal("")

func TestIsFull(t *testing.T) {
	for text, want := range map[string]bool{
		"FULL no room for 3 events": true,
		"OOM command not allowed when used memory > 'maxmemory'. script: 1f, on @user_script:5.":                                            true,
		"ERR Error running script (call to f_1f): @user_script:5: @user_script: 5: -OOM command not allowed when used memory > 'maxmemory'": true,
		"LOADING Redis is loading the dataset in memory":                                                                                    false,
		"MISCONF Errors writing to the AOF file: No space left on device":                                                                   false,
		"READONLY You can't write against a read only replica.":                                                                             false,
		"WRONGTYPE Operation against a key holding the wrong kind of value FULL ":                                                           false,
	} {
		if got := isFull(refusal(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if isFull(nil) || isFull(errors.New("FULL of nothing that Redis said")) {
		t.Error("what Redis did not say")
	}
}

func TestAlarm(t *testing.T) {
	for depth, want := range map[int]string{0: "", 799: "", 800: "warning", 899: "warning", 900: "critical", 949: "critical", 950: "overflow_imminent", 1200: "overflow_imminent"} {
		if got := (Status{Depth: depth, MaxLen: 1000}).Alarm(); got != want {
			t.Errorf("%d of 1000: %q, want %q", depth, got, want)
		}
	}
}
