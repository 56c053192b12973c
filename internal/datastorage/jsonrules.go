package datastorage

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Limits of free JSON, because PostgreSQL expands what it stores: a few bytes like 1e130000 would become 130 kB.
const (
	maxNesting  = 64
	maxDigits   = 64
	maxExponent = 308
	maxZeros    = 320     // further digits before the first that counts; PostgreSQL refuses more than 16,383 decimals
	maxGrowth   = 1 << 18 // digits that all exponents of an object add when they are written out
)

const (
	textNotUTF8   = "must be valid UTF-8"
	textNUL       = "must not contain U+0000"
	textSurrogate = "must not contain a lone surrogate"
	textNotObject = "must be a JSON object"
)

// CheckText looks into syntactically valid JSON for what PostgreSQL cannot store as text. It returns the text of the
// broken rule, or nothing.
func CheckText(raw []byte) string {
	if !utf8.Valid(raw) {
		return textNotUTF8
	}
	if bytes.IndexByte(raw, 0) >= 0 {
		return textNUL
	}
	if !bytes.Contains(raw, []byte(`\u`)) {
		return ""
	}
	s := jsonScan{raw: raw, depthLimit: len(raw) + 1}
	return s.run()
}

// CheckObject holds syntactically valid JSON against the rules of free JSON objects such as event_data.
func CheckObject(raw []byte) string {
	trimmed := bytes.TrimLeft(raw, " \t\r\n")
	if len(trimmed) == 0 || trimmed[0] != '{' {
		return textNotObject
	}
	if text := CheckText(raw); text != "" {
		return text
	}
	s := jsonScan{raw: raw, depthLimit: maxNesting, numbers: true}
	return s.run()
}

// jsonScan walks once over valid JSON without building anything.
type jsonScan struct {
	raw        []byte
	at         int
	depthLimit int
	numbers    bool
	growth     int // digits that the exponents so far add
}

func (s *jsonScan) run() string {
	depth := 0
	for s.at < len(s.raw) {
		text := ""
		switch c := s.raw[s.at]; {
		case c == '"':
			text = s.str()
		case c == '{' || c == '[':
			s.at++
			if depth++; depth > s.depthLimit {
				text = fmt.Sprintf("must not be nested deeper than %d", s.depthLimit)
			}
		case c == '}' || c == ']':
			s.at++
			depth--
		case s.numbers && (c == '-' || c >= '0' && c <= '9'):
			text = s.number()
		default:
			s.at++
		}
		if text != "" {
			return text
		}
	}
	return ""
}

// str stands on an opening quote and moves behind the closing one.
func (s *jsonScan) str() string {
	for s.at++; s.at < len(s.raw) && s.raw[s.at] != '"'; {
		if s.raw[s.at] != '\\' {
			s.at++
			continue
		}
		unit, ok := s.unit()
		if !ok {
			s.at += 2
			continue
		}
		s.at += 6
		switch {
		case unit == 0:
			return textNUL
		case unit >= 0xDC00 && unit <= 0xDFFF:
			return textSurrogate
		case unit >= 0xD800 && unit <= 0xDBFF:
			if low, ok := s.unit(); !ok || low < 0xDC00 || low > 0xDFFF {
				return textSurrogate
			}
			s.at += 6
		}
	}
	s.at++
	return ""
}

// unit is the UTF-16 code unit of a \uXXXX escape at the current place.
func (s *jsonScan) unit() (uint64, bool) {
	if s.at+6 > len(s.raw) || s.raw[s.at] != '\\' || s.raw[s.at+1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(s.raw[s.at+2:s.at+6]), 16, 16)
	return unit, err == nil
}

// number stands on the first byte of a number and moves behind the last.
func (s *jsonScan) number() string {
	start, digits, zeros, significant, exponentAt := s.at, 0, 0, false, -1
loop:
	for ; s.at < len(s.raw); s.at++ {
		switch c := s.raw[s.at]; {
		case c >= '0' && c <= '9':
			significant = significant || c != '0'
			switch {
			case exponentAt >= 0:
			case significant:
				digits++
			default:
				zeros++
			}
		case c == 'e' || c == 'E':
			exponentAt = s.at + 1
		case c == '-' || c == '+' || c == '.':
		default:
			break loop
		}
	}
	if digits > maxDigits || zeros > maxZeros {
		return fmt.Sprintf("must not hold a number of more than %d digits", maxDigits)
	}
	if exponentAt < 0 || exponentAt <= start {
		return ""
	}
	exponent, err := strconv.Atoi(string(s.raw[exponentAt:s.at]))
	if err != nil || exponent < -maxExponent || exponent > maxExponent {
		return fmt.Sprintf("must not hold a number with an exponent beyond %d", maxExponent)
	}
	if s.growth += max(exponent, -exponent); s.growth > maxGrowth {
		return fmt.Sprintf("must not hold numbers whose exponents add up to more than %d", maxGrowth)
	}
	return ""
}
