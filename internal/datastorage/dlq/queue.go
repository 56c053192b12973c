package dlq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// The two streams. Neither is ever trimmed.
const (
	stream     = "audit:dlq:events"         // waits for PostgreSQL
	deadLetter = "audit:dead-letter:events" // could not be stored; waits for an operator
)

// layout is the version of an entry's form.
const layout = "1"

// retryWhenFull is what a caller is told while the queue has no room.
const retryWhenFull = 30 * time.Second

// enqueue checks the length and adds everything in one step: a batch is in whole or not at all.
var enqueue = redis.NewScript(`
local fields = 5
local events = (#ARGV - 1) / fields
if redis.call('XLEN', KEYS[1]) + events > tonumber(ARGV[1]) then
	return redis.error_reply('FULL no room for ' .. events .. ' events')
end
for n = 0, events - 1 do
	local at = 1 + n * fields
	redis.call('XADD', KEYS[1], '*', 'v', ARGV[at + 1], 'event', ARGV[at + 2], 'queued_at', ARGV[at + 3],
		'request_id', ARGV[at + 4], 'cause', ARGV[at + 5])
end
return events
`)

// Enqueue keeps all events or none; see datastorage.Queue.
func (q *Queue) Enqueue(ctx context.Context, events []datastorage.Event, cause datastorage.Cause) error {
	args := make([]any, 0, 1+5*len(events))
	args = append(args, q.maxLen)
	for _, e := range events {
		encoded, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encoding event %s: %w", e.ID.UUID, err)
		}
		args = append(args, layout, encoded, e.Origin.QueuedAt.Format(time.RFC3339Nano), e.Origin.RequestID, string(cause))
	}
	err := enqueue.Run(ctx, q.client, []string{stream}, args...).Err()
	if isFull(err) {
		return &datastorage.Error{Kind: datastorage.Unavailable, Detail: "the database is away and the queue is full",
			RetryAfter: retryWhenFull, Cause: datastorage.CauseQueueFull, Err: err}
	}
	if err != nil {
		return fmt.Errorf("queueing %d events: %w", len(events), err)
	}
	return nil
}

// isFull recognises our own refusal and that of a Redis at its memory limit, whose text old versions wrap in another.
func isFull(err error) bool {
	var refusal redis.Error
	return errors.As(err, &refusal) &&
		(strings.HasPrefix(refusal.Error(), "FULL ") || strings.Contains(refusal.Error(), "OOM command not allowed"))
}

// Depth is the number of events that wait for PostgreSQL.
func (q *Queue) Depth(ctx context.Context) (int, error) {
	n, err := q.client.XLen(ctx, stream).Result()
	if err != nil {
		return 0, fmt.Errorf("reading the length of the queue: %w", err)
	}
	return int(n), nil
}

// A page is read in small parts, because one event may have a mebibyte.
const (
	partEntries = 10
	pageBytes   = 8 << 20
)

// Head returns the oldest entries, at most n, and none beyond about 8 MiB.
func (q *Queue) Head(ctx context.Context, n int) ([]datastorage.Queued, error) {
	var entries []datastorage.Queued
	for from, size := "-", 0; len(entries) < n && size < pageBytes; {
		messages, err := q.client.XRangeN(ctx, stream, from, "+", int64(min(partEntries, n-len(entries)))).Result()
		if err != nil {
			return nil, fmt.Errorf("reading the queue: %w", err)
		}
		for _, message := range messages {
			entry := decode(message)
			entries, size, from = append(entries, entry), size+len(entry.Event.Data), "("+message.ID
		}
		if len(messages) < partEntries {
			break
		}
	}
	return entries, nil
}

// decode reads an entry; one that is not in our form has a Fault.
func decode(message redis.XMessage) datastorage.Queued {
	entry := datastorage.Queued{Entry: message.ID}
	if v := message.Values["v"]; v != layout {
		entry.Fault = "unknown layout"
		return entry
	}
	raw, _ := message.Values["event"].(string)
	if err := json.Unmarshal([]byte(raw), &entry.Event); err != nil || !entry.Event.ID.Valid {
		entry.Fault = "event cannot be decoded"
	}
	return entry
}

// Remove forgets entries that are stored.
func (q *Queue) Remove(ctx context.Context, entries []datastorage.Queued) error {
	if len(entries) == 0 {
		return nil
	}
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.Entry
	}
	if err := q.client.XDel(ctx, stream, ids...).Err(); err != nil {
		return fmt.Errorf("removing %d stored events from the queue: %w", len(ids), err)
	}
	return nil
}

// move takes entries from one stream to the end of another, with more fields, in one step.
var move = redis.NewScript(`
local moved = 0
for n = 1, tonumber(ARGV[1]) do
	local entry = redis.call('XRANGE', KEYS[1], ARGV[1 + n], ARGV[1 + n])[1]
	if entry then
		local fields = {}
		for at = 1, #entry[2], 2 do
			if entry[2][at] ~= 'reason' and entry[2][at] ~= 'buried_at' then
				fields[#fields + 1] = entry[2][at]
				fields[#fields + 1] = entry[2][at + 1]
			end
		end
		for at = 2 + tonumber(ARGV[1]), #ARGV do
			fields[#fields + 1] = ARGV[at]
		end
		redis.call('XADD', KEYS[2], '*', unpack(fields))
		redis.call('XDEL', KEYS[1], ARGV[1 + n])
		moved = moved + 1
	end
end
return moved
`)

// Bury moves an entry that can never be stored to the dead-letter stream.
func (q *Queue) Bury(ctx context.Context, entry datastorage.Queued, reason string) error {
	err := move.Run(ctx, q.client, []string{stream, deadLetter}, 1, entry.Entry,
		"reason", reason, "buried_at", time.Now().UTC().Format(time.RFC3339Nano)).Err()
	if err != nil {
		return fmt.Errorf("moving an entry to the dead-letter stream: %w", err)
	}
	return nil
}

// Replay puts everything of the dead-letter stream back to the end of the queue and tells how many that were.
func (q *Queue) Replay(ctx context.Context) (int, error) {
	total := 0
	last, err := q.client.XRevRangeN(ctx, deadLetter, "+", "-", 1).Result()
	if err != nil {
		return 0, fmt.Errorf("reading the dead-letter stream: %w", err)
	}
	if len(last) == 0 {
		return 0, nil
	}
	for { // up to what was there at the start, so that an entry that is buried again ends it
		messages, err := q.client.XRangeN(ctx, deadLetter, "-", last[0].ID, partEntries).Result()
		if err != nil {
			return total, fmt.Errorf("reading the dead-letter stream: %w", err)
		}
		if len(messages) == 0 {
			return total, nil
		}
		args := []any{len(messages)}
		for _, m := range messages {
			args = append(args, m.ID)
		}
		moved, err := move.Run(ctx, q.client, []string{deadLetter, stream}, args...).Int()
		if err != nil {
			return total, fmt.Errorf("moving entries back to the queue: %w", err)
		}
		total += moved
	}
}

// Dead is an entry of the dead-letter stream.
type Dead struct {
	Entry, EventID, EventType, Reason, BuriedAt string
}

// Dead lists the oldest entries of the dead-letter stream, at most n.
func (q *Queue) Dead(ctx context.Context, n int) ([]Dead, error) {
	var dead []Dead
	for from := "-"; len(dead) < n; {
		part := min(partEntries, n-len(dead))
		messages, err := q.client.XRangeN(ctx, deadLetter, from, "+", int64(part)).Result()
		if err != nil {
			return dead, fmt.Errorf("reading the dead-letter stream: %w", err)
		}
		for _, message := range messages {
			dead, from = append(dead, described(message)), "("+message.ID
		}
		if len(messages) < part {
			break
		}
	}
	return dead, nil
}

// described is an entry of the dead-letter stream without its content.
func described(message redis.XMessage) Dead {
	entry := decode(message)
	d := Dead{Entry: message.ID, EventType: entry.Event.Type}
	if entry.Event.ID.Valid {
		d.EventID = entry.Event.ID.UUID.String()
	}
	d.Reason, _ = message.Values["reason"].(string)
	d.BuriedAt, _ = message.Values["buried_at"].(string)
	return d
}

// Status is what an operator wants to know of the streams.
type Status struct {
	Depth, Dead, MaxLen int
	OldestAge           time.Duration // of what waits; 0 if nothing does
}

// Alarm is the level of a queue that fills up; empty below 80 %.
func (s Status) Alarm() string {
	switch percent := 100 * s.Depth / max(1, s.MaxLen); {
	case percent >= 95:
		return "overflow_imminent"
	case percent >= 90:
		return "critical"
	case percent >= 80:
		return "warning"
	}
	return ""
}

// Status also proves that Redis answers.
func (q *Queue) Status(ctx context.Context) (Status, error) {
	pipe := q.client.Pipeline()
	depth, dead, oldest := pipe.XLen(ctx, stream), pipe.XLen(ctx, deadLetter), pipe.XRangeN(ctx, stream, "-", "+", 1)
	now := pipe.Time(ctx)
	if _, err := pipe.Exec(ctx); err != nil {
		return Status{}, fmt.Errorf("asking Redis: %w", err)
	}
	s := Status{Depth: int(depth.Val()), Dead: int(dead.Val()), MaxLen: q.maxLen}
	if len(oldest.Val()) > 0 {
		milliseconds, _, _ := strings.Cut(oldest.Val()[0].ID, "-")
		at, err := strconv.ParseInt(milliseconds, 10, 64)
		if err != nil {
			return s, fmt.Errorf("reading the age of the oldest entry: %w", err)
		}
		s.OldestAge = max(0, now.Val().Sub(time.UnixMilli(at)))
	}
	return s, nil
}

// ErrNotDurable is the reason for a Redis that may lose what it took.
var ErrNotDurable = errors.New("this Redis may lose acknowledged events")

// CheckDurable tells why a restart or memory pressure could lose entries; nil if neither can. An error that is not
// ErrNotDurable means that Redis did not answer.
func (q *Queue) CheckDurable(ctx context.Context) error {
	for _, rule := range []struct{ setting, want string }{
		{"appendonly", "yes"}, {"appendfsync", "always"}, {"maxmemory-policy", "noeviction"},
	} {
		values, err := q.client.ConfigGet(ctx, rule.setting).Result()
		var refusal redis.Error
		if errors.As(err, &refusal) {
			return fmt.Errorf("%w: %s cannot be read: %w", ErrNotDurable, rule.setting, err)
		}
		if err != nil {
			return fmt.Errorf("asking Redis for %s: %w", rule.setting, err)
		}
		if got := values[rule.setting]; got != rule.want {
			return fmt.Errorf("%w: %s is %q, not %q", ErrNotDurable, rule.setting, got, rule.want)
		}
	}
	return nil
}
