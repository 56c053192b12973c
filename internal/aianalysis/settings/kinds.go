package settings

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kind is what a setting may be.
type kind struct {
	allowed string
	bool    bool // its flag may stand without a value
	set     func(string) error
}

var errNotAllowed = errors.New("not allowed")

func text(to *string) kind {
	return kind{allowed: "text", set: func(value string) error { *to = value; return nil }}
}

func path(to *string) kind {
	return kind{allowed: "an absolute path", set: func(value string) error {
		*to = value
		if !filepath.IsAbs(value) {
			return errNotAllowed
		}
		return nil
	}}
}

func boolean(to *bool) kind {
	return kind{allowed: "true or false", bool: true, set: func(value string) (err error) {
		*to, err = strconv.ParseBool(value)
		return err
	}}
}

func integer(to *int, low, high int) kind {
	return kind{allowed: fmt.Sprintf("a whole number, %d to %d", low, high), set: func(value string) (err error) {
		if *to, err = strconv.Atoi(value); err == nil && (*to < low || *to > high) {
			err = errNotAllowed
		}
		return err
	}}
}

func duration(to *time.Duration, least time.Duration) kind {
	allowed := fmt.Sprintf("a duration such as 90s, at least %s", least)
	return kind{allowed: allowed, set: func(value string) (err error) {
		if *to, err = time.ParseDuration(value); err == nil && *to < least {
			err = errNotAllowed
		}
		return err
	}}
}

// limited is a duration that must not be too long either.
func limited(to *time.Duration, least, most time.Duration) kind {
	k := duration(to, least)
	inner := k.set
	k.allowed += fmt.Sprintf(" and at most %s", most)
	k.set = func(value string) error {
		if err := inner(value); err != nil || *to <= most {
			return err
		}
		return errNotAllowed
	}
	return k
}

func webURL(to *string) kind {
	return kind{allowed: "an http or https URL without query", set: func(value string) error {
		*to = strings.TrimRight(value, "/")
		parsed, err := url.Parse(value)
		if err == nil && (parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" || parsed.RawQuery != "" || parsed.User != nil) {
			err = errNotAllowed
		}
		return err
	}}
}

// address is where a server listens.
func address(to *string) kind {
	return kind{allowed: "host:port", set: func(value string) error {
		*to = value
		_, port, err := net.SplitHostPort(value)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		return err
	}}
}

func oneOf(to *string, values ...string) kind {
	return kind{allowed: "one of " + strings.Join(values, ", "), set: func(value string) error {
		*to = value
		if !slices.Contains(values, value) {
			return errNotAllowed
		}
		return nil
	}}
}

// flagText remembers whether a flag was given; checking comes later, with everything else.
type flagText struct {
	value     string
	set, bool bool
}

func (f *flagText) String() string { return f.value }

func (f *flagText) Set(value string) error {
	f.value, f.set = value, true
	return nil
}

// IsBoolFlag lets a boolean flag stand alone.
func (f *flagText) IsBoolFlag() bool { return f.bool }
