package audit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
)

func TestDataStorageDownDelaysNothingButTheAudit(t *testing.T) {
	tell(t, 20000, func(s *story) {
		s.store.set(func(d *dataStorage) { d.down = true })
		s.create("cart")
		s.after(0)
		s.expect("cart", "Completed False Pending: audit events are on their way to Data Storage")
		s.after(2 * time.Second)
		s.expect("cart", "Completed False DataStorageUnavailable: 0 of 7 events stored")
		s.after(time.Hour)
		s.store.check(t, "cart", 0)
		s.store.set(func(d *dataStorage) { d.down = false })
		s.after(40 * time.Second)
		s.expect("cart", "Completed True AllEventsStored: 7 of 7 events stored")
		s.store.check(t, "cart", 7)
	})
}

func TestParkedEventsAreNeverTakenForStored(t *testing.T) {
	tell(t, 20000, func(s *story) {
		s.store.set(func(d *dataStorage) { d.parks = true })
		s.create("cart")
		for range 10 {
			s.after(time.Minute)
			s.expect("cart", "Completed False Pending: audit events are on their way to Data Storage")
		}
		s.store.set(func(d *dataStorage) { d.parks = false })
		s.after(31 * time.Second)
		s.expect("cart", "Completed True AllEventsStored: 7 of 7 events stored")
		s.store.check(t, "cart", 7)
	})
}

func TestOneRefusedEventOfAHundred(t *testing.T) {
	tell(t, 20000, func(s *story) {
		refused := aianalysis.EventID("uid-cr-07", aianalysis.EventDecision, 1)
		s.store.set(func(d *dataStorage) { d.refuse = func(e event) bool { return e.EventID == refused } })
		for i := range 15 {
			s.create(fmt.Sprintf("cr-%02d", i))
		}
		s.after(5 * time.Second)
		for i := range 15 {
			name := fmt.Sprintf("cr-%02d", i)
			if i == 7 {
				s.expect(name, "Completed False EventRejected: 6 of 7 events stored; refused: "+refused+" (Bad Request: event_data is wrong)")
				s.store.check(t, name, 6)
				continue
			}
			s.expect(name, "Completed True AllEventsStored: 7 of 7 events stored")
			s.store.check(t, name, 7)
		}
		if n := testutil.ToFloat64(s.log.metrics.Dropped); n != 1 || len(s.store.sizes) == 0 || s.store.sizes[0] < 100 {
			t.Errorf("dropped %v, batches of %v", n, s.store.sizes)
		}
		s.delete("cr-07") // a refused event does not hold the finalizer
		s.after(0)
		if _, there := s.get("cr-07"); there {
			t.Error("the refused event holds the object")
		}
	})
}

func TestBufferOfTenAndAHundredCRs(t *testing.T) {
	tell(t, 10, func(s *story) {
		for i := range 100 {
			s.create(fmt.Sprintf("cr-%02d", i))
		}
		s.after(0)
		for i := range 100 {
			if cr, _ := s.get(fmt.Sprintf("cr-%02d", i)); cr.Status.Phase != v1alpha1.PhaseCompleted {
				t.Fatalf("cr-%02d waits for the audit: %s", i, cr.Status.Phase)
			}
		}
		s.after(10 * time.Minute)
		for i := range 100 {
			name := fmt.Sprintf("cr-%02d", i)
			s.expect(name, "Completed True AllEventsStored: 7 of 7 events stored")
			s.store.check(t, name, 7)
		}
		if deferred, dropped := testutil.ToFloat64(s.log.metrics.Deferred), testutil.ToFloat64(s.log.metrics.Dropped); deferred == 0 || dropped != 0 {
			t.Errorf("deferred %v, dropped %v", deferred, dropped)
		}
	})
}

func TestDeletionWithDataStorageUp(t *testing.T) {
	tell(t, 20000, func(s *story) {
		s.create("cart")
		s.after(0)
		s.delete("cart")
		s.after(2 * time.Second)
		if _, there := s.get("cart"); there {
			t.Error("still there after 2 s")
		}
		s.store.check(t, "cart", 7)
	})
}

func TestDeletionWithDataStorageDown(t *testing.T) {
	tell(t, 20000, func(s *story) {
		s.store.set(func(d *dataStorage) { d.down = true })
		s.create("cart")
		s.after(3 * time.Second)
		s.delete("cart")
		s.after(29 * time.Second)
		if _, there := s.get("cart"); !there {
			t.Fatal("gone before 30 s")
		}
		s.after(2 * time.Second)
		if _, there := s.get("cart"); there {
			t.Error("still there after 31 s")
		}
		if n := testutil.ToFloat64(s.log.metrics.Dropped); n != 7 || s.log.Left() != 0 {
			t.Errorf("dropped %v, left %d", n, s.log.Left())
		}
		var told []string
		for len(s.events.Events) > 0 {
			told = append(told, <-s.events.Events)
		}
		if !slices.Contains(told, "Warning AuditIncomplete 7 audit events not stored") {
			t.Errorf("Events: %s", strings.Join(told, "; "))
		}
		s.store.set(func(d *dataStorage) { d.down = false })
		s.createAs("cart", "another") // the same name again: nothing of the old one is in its way
		s.after(time.Minute)
		s.expect("cart", "Completed True AllEventsStored: 7 of 7 events stored")
	})
}

// The clock of a controller that is ahead of Data Storage's: nothing is dropped, all of it stored once time has caught up.
func TestClockAheadOfDataStorage(t *testing.T) {
	tell(t, 20000, func(s *story) {
		ahead := 10 * time.Minute
		s.r.Now = func() time.Time { return time.Now().Add(ahead) }
		s.store.set(func(d *dataStorage) {
			d.refuse = func(e event) bool {
				at, err := time.Parse(timeFormat, e.EventTimestamp)
				return err != nil || at.After(time.Now().Add(clockSkew))
			}
		})
		s.create("cart")
		s.after(4 * time.Minute)
		s.store.check(t, "cart", 0)
		if n := testutil.ToFloat64(s.log.metrics.Dropped); n != 0 {
			t.Errorf("dropped %v", n)
		}
		s.after(2 * time.Minute)
		s.store.check(t, "cart", 7)
		s.expect("cart", "Completed True AllEventsStored: 7 of 7 events stored")
	})
}
