package datastorage

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLimitsAndAuth(t *testing.T) {
	c, err := ReadConfig([]byte(goodConfig), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, a := c.Server, c.Auth
	if s.MaxInflightWrites != 256 || s.MaxInflightReads != 32 || s.MaxInflightBytes != 16<<20 || s.QueueLength != 512 || s.QueueTimeout != time.Second {
		t.Errorf("limits by default: %+v", s)
	}
	if a.Mode != "none" || !slices.Equal(a.Audiences, []string{"datastorage"}) || a.CacheTTL != time.Minute || len(a.Writers)+len(a.Readers)+len(a.CatalogAdmins) != 0 {
		t.Errorf("auth by default: %+v", a)
	}
	c, err = ReadConfig([]byte(goodConfig+`
server: {max_inflight_bytes: 10485760}
auth: {mode: token_review, audiences: [a, "https://b"], writers: [kubernaut/gateway, kubernaut-system/ai.analysis]}
`), []string{"DATASTORAGE_AUTH_READERS=x/y, z/y", "DATASTORAGE_AUTH_WRITERS="})
	if err != nil {
		t.Fatal(err)
	}
	a = c.Auth
	if c.Server.MaxInflightBytes != 10<<20 || !slices.Equal(a.Audiences, []string{"a", "https://b"}) || !slices.Equal(a.Readers, []string{"x/y", "z/y"}) || len(a.Writers) != 0 {
		t.Errorf("read as %+v", a)
	}
	if !a.Allows("x/y", MayRead) || a.Allows("x/y", MayWrite) || a.Allows("x/y", MayChangeCatalog) || a.Allows("x/y", MayNothing) || a.Allows("", MayRead) {
		t.Error("rights")
	}
}

func TestMistakesInLimitsAndAuth(t *testing.T) {
	for _, c := range []struct{ file, mistake string }{
		{"server: {max_inflight_writes: 0}", "server.max_inflight_writes: must be between 1 and 4096 (got 0)"},
		{"server: {max_inflight_reads: 4097}", "server.max_inflight_reads: must be between 1 and 4096 (got 4097)"},
		{"server: {max_inflight_bytes: 10485759}", "server.max_inflight_bytes: must be between 10485760 and 1073741824 bytes, such as 16MiB"},
		{"server: {max_inflight_bytes: 9MiB}", "server.max_inflight_bytes: must be between"},
		{"server: {max_inflight_bytes: 2GiB}", "server.max_inflight_bytes: must be between"},
		{"server: {max_inflight_bytes: 99999999999999999999GiB}", "server.max_inflight_bytes: must be between"},
		{"server: {max_inflight_bytes: 16 lots}", "server.max_inflight_bytes: must be between"},
		{"server: {max_inflight_bytes: 16777216.5}", "server.max_inflight_bytes: must be between"},
		{"server: {queue_length: -1}", "server.queue_length: must be between 0 and"},
		{"server: {queue_timeout: 3s}", "server.queue_timeout: must be between 0s and 2s (got 3s)"},
		{"auth: {mode: maybe}", "auth.mode: must be one of: none, token_review (got maybe)"},
		{"auth: {cache_ttl: 0s}", "auth.cache_ttl: must be between"},
		{"auth: {writers: [nobody]}", "auth.writers: must be a list of namespace/serviceaccount (got nobody)"},
		{"auth: {readers: 'user:a/b'}", "auth.readers: must be a list of namespace/serviceaccount (got user:a/b)"},
		{"auth: {catalog_admins: 5}", "auth.catalog_admins: must be a list (got 5)"},
		{"auth: {mode: token_review, audiences: []}", "auth.audiences: is required with auth.mode: token_review"},
	} {
		_, err := ReadConfig([]byte(goodConfig+c.file+"\n"), nil)
		if err == nil || !strings.HasPrefix(err.Error(), c.mistake) {
			t.Errorf("%s: %v, want %s", c.file, err, c.mistake)
		}
	}
}
