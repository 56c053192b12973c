package postgres

import "github.com/kubernaut-ai/kubernaut/internal/datastorage"

// PoolStats are the figures of the two pools that requests use.
func (s *Store) PoolStats() []datastorage.PoolStats {
	write, read := s.write.Stat(), s.read.Stat()
	return []datastorage.PoolStats{
		{Pool: "write", Acquired: int(write.AcquiredConns()), Idle: int(write.IdleConns()), Max: int(write.MaxConns()),
			Wait: write.EmptyAcquireWaitTime()},
		{Pool: "read", Acquired: int(read.AcquiredConns()), Idle: int(read.IdleConns()), Max: int(read.MaxConns()),
			Wait: read.EmptyAcquireWaitTime()},
	}
}

// SchemaVersion is the version of the schema that Check saw last; 0 before.
func (s *Store) SchemaVersion() int64 { return s.schema.Load() }
