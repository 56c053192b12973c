package main

import (
	"context"
	"time"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// maintain does the upkeep of the audit events at the start and then every interval; after a failure sooner.
func (s *service) maintain(ctx context.Context) {
	const notYet, failed = time.Second, time.Minute
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if s.health.Database() != datastorage.Connected {
			timer.Reset(notYet)
			continue
		}
		if err := s.upkeep(ctx); err != nil {
			s.log.Warn("the upkeep of the audit events failed", "error", err)
			timer.Reset(failed)
			continue
		}
		timer.Reset(s.config.Audit.MaintenanceInterval)
	}
}

// upkeep makes the partitions of the coming months, shows their state, and forgets old ids.
func (s *service) upkeep(ctx context.Context) error {
	months, err := s.store.EnsurePartitions(ctx, s.config.Audit.PartitionMonthsAhead)
	if err != nil {
		return err
	}
	s.metrics.SetPartitions(months.Ahead, months.DefaultRows)
	if months.Made > 0 {
		s.log.Info("partitions made", "count", months.Made)
	}
	if unplaced := months.DefaultRows > 0; unplaced != s.seen.unplaced {
		s.seen.unplaced = unplaced
		if unplaced {
			s.log.Warn("events of months without a partition wait for: datastorage partitions --repair", "events", months.DefaultRows)
		}
	}
	forgotten, err := s.store.ForgetIDs(ctx, s.config.Audit.IDWindowDays)
	if forgotten > 0 {
		s.log.Info("ids of old events forgotten", "count", forgotten)
	}
	return err
}
