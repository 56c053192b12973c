package v1alpha1

import (
	"encoding/json"
	"time"
)

// Duration is a Go duration such as 90s. It decodes leniently: a stored value that cannot be read (an older schema accepted any
// string) leaves Duration 0 and Unreadable set, so that one such object cannot stop an informer for all others. The schema checks it at
// creation alone: a rule that fails to evaluate is not ratcheted, so such an object could never be written, nor deleted, again.
//
// +kubebuilder:validation:Type=string
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || duration(self) >= duration('0s')",optionalOldSelf=true,message="must be a Go duration such as 90s or 1m30s, zero or more"
// +kubebuilder:object:generate=false
type Duration struct {
	time.Duration
	// Unreadable is the JSON text that was not a duration; empty if all is well. It is not written back.
	Unreadable string
}

// MarshalJSON writes the duration as Go formats it.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON never fails; see Duration.
func (d *Duration) UnmarshalJSON(data []byte) error {
	*d = Duration{}
	var text string
	if string(data) == "null" {
		return nil
	}
	if err := json.Unmarshal(data, &text); err != nil {
		d.Unreadable = string(data)
		return nil
	}
	parsed, err := time.ParseDuration(text)
	if err != nil {
		d.Unreadable = text
		return nil
	}
	d.Duration = parsed
	return nil
}

// DeepCopyInto copies the receiver.
func (d *Duration) DeepCopyInto(out *Duration) { *out = *d }

// Time is an RFC 3339 time of a spec. Like Duration it decodes leniently, for the same reason: an unreadable value is the zero time.
// The API server takes a list where a string with a format is wanted; only the rule refuses it, since it cannot be evaluated then.
//
// +kubebuilder:validation:Type=string
// +kubebuilder:validation:Format=date-time
// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`
// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 time"
// +kubebuilder:object:generate=false
type Time struct {
	time.Time
	// Unreadable is the JSON text that was not a time; empty if all is well. It is not written back.
	Unreadable string
}

// NewTime wraps t.
func NewTime(t time.Time) Time { return Time{Time: t} }

// Now is the present moment.
func Now() Time { return NewTime(time.Now()) }

// MarshalJSON writes RFC 3339 in UTC, with the fraction if there is one.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(t.UTC().Format(time.RFC3339Nano))
}

// UnmarshalJSON never fails; see Time.
func (t *Time) UnmarshalJSON(data []byte) error {
	*t = Time{}
	var text string
	if string(data) == "null" {
		return nil
	}
	if err := json.Unmarshal(data, &text); err != nil {
		t.Unreadable = string(data)
		return nil
	}
	parsed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Unreadable = text
		return nil
	}
	t.Time = parsed
	return nil
}

// DeepCopyInto copies the receiver.
func (t *Time) DeepCopyInto(out *Time) { *out = *t }
