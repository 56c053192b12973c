package main

import (
	"sync"
	"time"
)

const maxKeptText = 64 << 10

// Entry is one request as the journal keeps it.
type Entry struct {
	Time          time.Time `json:"time"`
	RemediationID string    `json:"remediation_id"`
	SignalType    string    `json:"signal_type"`
	Analysis      string    `json:"analysis"`
	Attempt       int       `json:"attempt"`
	Turn          int       `json:"turn"`
	Tools         []string  `json:"tools"`
	Status        int       `json:"status"`
	User          string    `json:"user"`
	ToolMessages  []string  `json:"tool_messages"`
	Fault         bool      `json:"fault"`
}

func newEntry(now time.Time, request *chatRequest, prompt Prompt, hasTool bool) Entry {
	entry := Entry{
		Time: now.UTC(), RemediationID: prompt.RemediationID, SignalType: prompt.SignalType, Analysis: prompt.Kind,
		Attempt: prompt.Attempt, Turn: 1, Tools: request.tools(), User: cut(request.userMessage()), ToolMessages: []string{},
	}
	if hasTool {
		entry.Turn = 2
	}
	for _, m := range request.Messages {
		if m.Role == "tool" {
			entry.ToolMessages = append(entry.ToolMessages, cut(string(m.Content)))
		}
	}
	return entry
}

func cut(text string) string {
	if len(text) > maxKeptText {
		return text[:maxKeptText]
	}
	return text
}

func (e *Entry) size() int {
	n := 256 + len(e.User) + len(e.RemediationID) + len(e.SignalType)
	for _, text := range e.ToolMessages {
		n += len(text)
	}
	return n
}

// Counts is what specs compare: attempts are requests without a tool message, failed ones too.
type Counts struct {
	Attempts int `json:"attempts"`
	Turns    int `json:"turns"`
	Faults   int `json:"faults"`
	Refused  int `json:"refused"`
	Dropped  int `json:"dropped"`
}

// Journal keeps the newest requests, bounded in number and bytes.
type Journal struct {
	mu                         sync.Mutex
	entries                    []Entry
	bytes, maxEntries, maxSize int
	dropped                    int
}

// NewJournal makes an empty journal of at most so many entries and bytes of text.
func NewJournal(maxEntries, maxSize int) *Journal {
	return &Journal{maxEntries: maxEntries, maxSize: maxSize}
}

// Add keeps an entry and lets the oldest go when there are too many.
func (j *Journal) Add(entry Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, entry)
	j.bytes += entry.size()
	for len(j.entries) > j.maxEntries || j.bytes > j.maxSize {
		j.bytes -= j.entries[0].size()
		j.entries[0] = Entry{}
		j.entries = j.entries[1:]
		j.dropped++
	}
}

// Entries lists the requests of one remediation, or all of them for the empty id, oldest first.
func (j *Journal) Entries(remediationID string) ([]Entry, int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	found := []Entry{}
	for _, entry := range j.entries {
		if remediationID == "" || entry.RemediationID == remediationID {
			found = append(found, entry)
		}
	}
	return found, j.dropped
}

// Counts adds the requests of one remediation up.
func (j *Journal) Counts(remediationID string) Counts {
	entries, dropped := j.Entries(remediationID)
	counts := Counts{Dropped: dropped, Turns: len(entries)}
	for _, entry := range entries {
		if entry.Turn == 1 {
			counts.Attempts++
		}
		if entry.Fault {
			counts.Faults++
		}
		if entry.Status == 422 {
			counts.Refused++
		}
	}
	return counts
}
