package datastorage

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// Position is a place in the order of events, newest first.
type Position struct {
	Time time.Time
	ID   uuid.UUID
}

// Cursor is where the next page begins, and of which question: the bounds of its time range as they were resolved for the
// first page, and a digest of everything that was asked.
type Cursor struct {
	After        Position
	Since, Until *time.Time
	Question     [8]byte
}

// QuestionOf is the digest of the parameters as they were written.
func QuestionOf(parameters ...string) (digest [8]byte) {
	sum := sha256.New()
	for _, p := range parameters {
		_ = binary.Write(sum, binary.BigEndian, uint32(len(p))) // a hash never fails
		sum.Write([]byte(p))
	}
	copy(digest[:], sum.Sum(nil))
	return digest
}

// cursorForm is the layout that String writes: it stands first in the bytes.
const (
	cursorForm  = 1
	cursorBytes = 1 + 8 + 16 + 8 + 8 + 8 + 4
)

// String is the opaque form for a URL. The checksum at its end catches what was cut or altered, not a forger: a cursor
// gives nobody anything that the same question would not.
func (c Cursor) String() string {
	raw := make([]byte, 0, cursorBytes)
	raw = append(raw, cursorForm)
	raw = binary.BigEndian.AppendUint64(raw, uint64(c.After.Time.UnixMicro()))
	raw = append(raw, c.After.ID[:]...)
	raw = binary.BigEndian.AppendUint64(raw, bound(c.Since))
	raw = binary.BigEndian.AppendUint64(raw, bound(c.Until))
	raw = append(raw, c.Question[:]...)
	return base64.RawURLEncoding.EncodeToString(append(raw, checksum(raw)...))
}

// ParseCursor reads what String wrote.
func ParseCursor(s string) (c Cursor, ok bool) {
	if len(s) != base64.RawURLEncoding.EncodedLen(cursorBytes) { // the decoder would skip line ends
		return c, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != cursorBytes || raw[0] != cursorForm {
		return c, false
	}
	body, sum := raw[:cursorBytes-4], raw[cursorBytes-4:]
	if !bytes.Equal(checksum(body), sum) {
		return c, false
	}
	c.After.Time = time.UnixMicro(int64(binary.BigEndian.Uint64(body[1:]))).UTC()
	copy(c.After.ID[:], body[9:])
	c.Since, c.Until = moment(body[25:]), moment(body[33:])
	copy(c.Question[:], body[41:])
	return c, possible(&c.After.Time) && possible(c.Since) && possible(c.Until)
}

// possible tells whether an event can have this time, or no time is meant: PostgreSQL knows more than RFC 3339 can write.
func possible(t *time.Time) bool { return t == nil || t.UTC().Year() >= 1 && t.UTC().Year() <= 9999 }

func checksum(body []byte) []byte {
	sum := sha256.Sum256(append([]byte("audit cursor"), body...))
	return sum[:4]
}

// bound is a time in microseconds; no bound is a number that no time has.
func bound(t *time.Time) uint64 {
	if t == nil {
		return 1 << 63
	}
	return uint64(t.UnixMicro())
}

func moment(raw []byte) *time.Time {
	n := binary.BigEndian.Uint64(raw)
	if n == 1<<63 {
		return nil
	}
	t := time.UnixMicro(int64(n)).UTC()
	return &t
}
