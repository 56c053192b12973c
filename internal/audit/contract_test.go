package audit

import (
	"testing"

	"github.com/kubernaut-ai/kubernaut/api/openapi/datastorage"
)

// What is sent is what Data Storage's contract takes.
func TestEventsFitTheContract(t *testing.T) {
	took := int64(12)
	for _, e := range events(2) {
		e.ID, e.DurationMS = "b9a62f28-f0c0-5d0a-8549-5e307ade359a", &took
		body, err := encode(e)
		if err != nil {
			t.Fatal(err)
		}
		var request datastorage.AuditEventRequest
		if err := request.UnmarshalJSON(body); err != nil {
			t.Fatal(err)
		}
		if err := request.Validate(); err != nil {
			t.Error(err)
		}
		if request.EventID.Value.String() != e.ID || request.DurationMs.Value != 12 || request.ActorID.Value != "aianalysis-controller" || !request.EventTimestamp.Equal(e.At) {
			t.Errorf("%+v", request)
		}
	}
}
