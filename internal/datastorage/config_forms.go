package datastorage

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// MaxBody is the size in bytes of the largest body of the contract, a batch of audit events.
const MaxBody = 5 << 20

// maxQueueTimeout leaves at least half of the time of a write for the write itself.
const maxQueueTimeout = 2 * time.Second

var (
	audienceForm = regexp.MustCompile(`^[^\s,]+$`)
	accountForm  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
)

// size takes a number of bytes, also with a unit: 16777216 is 16MiB.
func size(to *int, low, high int) func(any) error {
	return func(value any) error {
		text, scale := fmt.Sprint(value), 1
		for unit, factor := range map[string]int{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
			if digits, found := strings.CutSuffix(text, unit); found {
				text, scale = digits, factor
			}
		}
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if f, isFloat := value.(float64); isFloat && f == math.Trunc(f) { // as YAML numbers come
			n, err = int(f), nil
		}
		if err != nil || n < 0 || n > high/scale || n*scale < low {
			return fmt.Errorf("must be between %d and %d bytes, such as 16MiB (got %v)", low, high, value)
		}
		*to = n * scale
		return nil
	}
}

// list takes a YAML list, or one text with commas as the environment says it.
func list(to *[]string, form *regexp.Regexp, example string) func(any) error {
	return func(value any) error {
		var items []any
		switch v := value.(type) {
		case []any:
			items = v
		case string:
			for _, item := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' }) {
				items = append(items, strings.TrimSpace(item))
			}
		default:
			return fmt.Errorf("must be a list (got %v)", value)
		}
		found := make([]string, 0, len(items))
		for _, item := range items {
			s, isText := item.(string)
			if !isText || !form.MatchString(s) {
				return fmt.Errorf("must be a list of %s (got %v)", example, item)
			}
			found = append(found, s)
		}
		*to = found
		return nil
	}
}
