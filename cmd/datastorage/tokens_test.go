//go:build integration

package main

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// reviews answers like an API server that takes an account's name for its token.
func reviews(w http.ResponseWriter, r *http.Request) {
	var question struct{ Spec struct{ Token string } }
	if err := json.NewDecoder(r.Body).Decode(&question); err != nil || r.Header.Get("Authorization") != "Bearer own-canary" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	account, isOurs := strings.CutPrefix(question.Spec.Token, "canary-")
	w.WriteHeader(http.StatusCreated)
	_, _ = fmt.Fprintf(w, `{"status":{"authenticated":%t,"user":{"username":"system:serviceaccount:kubernaut:%s"},"audiences":["datastorage"]}}`, isOurs, account)
}

// O6: with auth.mode token_review no token is 401, the wrong account 403, the right one 2xx, an API server that is down
// 503; probes stay open.
func TestTokenReview(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(reviews))
	defer server.Close()
	where, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	i := install(t)
	i.serviceAccount = t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, content := range map[string]string{"ca.crt": string(ca), "token": "own-canary"} {
		if err := os.WriteFile(filepath.Join(i.serviceAccount, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := i.command(t, "migrate"); err != nil {
		t.Fatalf("migrate: %v %s", err, out)
	}
	i.start(t, "KUBERNETES_SERVICE_HOST="+where.Hostname(), "KUBERNETES_SERVICE_PORT="+where.Port(), "DATASTORAGE_AUTH_MODE=token_review",
		"DATASTORAGE_AUTH_WRITERS=kubernaut/writer,kubernaut/other", "DATASTORAGE_AUTH_READERS=kubernaut/reader", "DATASTORAGE_REDIS_DB=2")
	i.eventually(t, "/health/ready", `{"status":"ready","mode":"normal"}`)
	ask := func(method, path, token string) int {
		t.Helper()
		body := ""
		if method == http.MethodPost {
			event := testRequest("tokens")
			raw, err := event.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			body = string(raw)
		}
		return i.ask(t, method, path, token, body)
	}
	for _, c := range []struct {
		token       string
		write, read int
	}{{"", 401, 401}, {"stranger", 401, 401}, {"canary-stranger", 403, 403}, {"canary-writer", 201, 403}, {"canary-reader", 403, 200}} {
		if got := ask("POST", "/api/v1/audit/events", c.token); got != c.write {
			t.Errorf("%q writes: %d, want %d", c.token, got, c.write)
		}
		if got := ask("GET", "/api/v1/audit/events", c.token); got != c.read {
			t.Errorf("%q reads: %d, want %d", c.token, got, c.read)
		}
	}
	server.Close()
	if got := ask("POST", "/api/v1/audit/events", "canary-other"); got != 503 {
		t.Errorf("the API server is down, a new token: %d", got)
	}
	if got := ask("POST", "/api/v1/audit/events", "canary-writer"); got != 201 {
		t.Errorf("the API server is down, a token that was seen: %d", got)
	}
	for _, path := range []string{"/health", "/health/ready", "/health/live", "/metrics"} {
		if got := ask("GET", path, ""); got != 200 {
			t.Errorf("%s: %d", path, got)
		}
	}
	if account := i.storedAs(t); account != "kubernaut/writer" {
		t.Errorf("stored as %q", account)
	}
}

// ask is one request; a problem that shows a token or event data fails the test (O5).
func (i installation) ask(t *testing.T, method, path, token, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, i.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Request-ID", uuid.NewString())
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	text, err := io.ReadAll(got.Body)
	if err != nil || got.StatusCode >= 400 && strings.Contains(string(text), "canary") {
		t.Errorf("%d %s %v", got.StatusCode, text, err)
	}
	return got.StatusCode
}

// storedAs is who wrote the one event.
func (i installation) storedAs(t *testing.T) (account string) {
	t.Helper()
	where, err := url.Parse(setting(t, "KUBERNAUT_TEST_POSTGRES"))
	if err != nil {
		t.Fatal(err)
	}
	where.Path = "/" + i.database
	conn, err := pgx.Connect(t.Context(), where.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if err := conn.QueryRow(t.Context(), `SELECT DISTINCT event_metadata->>'authenticated_as' FROM audit_events`).Scan(&account); err != nil {
		t.Fatal(err)
	}
	return account
}
