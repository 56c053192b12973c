package tokens

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// apiServer answers reviews as Kubernetes does.
type apiServer struct {
	*httptest.Server
	asked  atomic.Int64
	status atomic.Int64 // if not 0, of every answer
	hold   chan struct{}
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.asked.Add(1)
	if a.hold != nil {
		<-a.hold
	}
	var question struct {
		APIVersion, Kind string
		Spec             struct {
			Token     string
			Audiences []string
		}
	}
	if status := a.status.Load(); status != 0 {
		w.WriteHeader(int(status))
		return
	}
	if err := json.NewDecoder(r.Body).Decode(&question); err != nil || r.Method != http.MethodPost || question.Kind != "TokenReview" ||
		question.APIVersion != "authentication.k8s.io/v1" || r.URL.Path != path || r.Header.Get("Authorization") != "Bearer own" ||
		!slices.Equal(question.Spec.Audiences, []string{"datastorage"}) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	status := map[string]string{
		"good":           `{"authenticated":true,"user":{"username":"system:serviceaccount:kubernaut:gateway"},"audiences":["datastorage"]}`,
		"person":         `{"authenticated":true,"user":{"username":"kubernaut/gateway"},"audiences":["datastorage"]}`,
		"other audience": `{"authenticated":true,"user":{"username":"system:serviceaccount:kubernaut:gateway"},"audiences":["vault"]}`,
		"no audience":    `{"authenticated":true,"user":{"username":"system:serviceaccount:kubernaut:gateway"}}`,
		"not JSON":       `nonsense`,
	}[question.Spec.Token]
	if status == "" {
		status = `{"user":{},"error":"[invalid bearer token, token lookup failed]"}`
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = fmt.Fprintf(w, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"x"},"status":%s}`, status)
}

func reviewer(t *testing.T, ttl time.Duration) (*apiServer, *Reviewer) {
	t.Helper()
	a := &apiServer{}
	a.Server = httptest.NewTLSServer(a)
	t.Cleanup(a.Close)
	folder := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw})
	for name, content := range map[string]string{"ca.crt": string(ca), "token": "own\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := New(Options{URL: a.URL, TokenFile: filepath.Join(folder, "token"), CAFile: filepath.Join(folder, "ca.crt"),
		Audiences: []string{"datastorage"}, TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	return a, r
}

func TestAccount(t *testing.T) {
	_, r := reviewer(t, time.Minute)
	for _, c := range []struct {
		token, account string
		kind           datastorage.Kind
	}{
		{"good", "kubernaut/gateway", 0},
		{"person", "user:kubernaut/gateway", 0}, // not the service account of that name
		{"other audience", "", datastorage.Unauthorized},
		{"no audience", "", datastorage.Unauthorized}, // an API server that does not know audiences vouches for none
		{"unknown", "", datastorage.Unauthorized},
		{"not JSON", "", datastorage.Unavailable},
	} {
		account, err := r.Account(t.Context(), c.token)
		if account != c.account || err != nil && datastorage.KindOf(err) != c.kind || (err == nil) != (c.kind == 0) {
			t.Errorf("%s: %q, %v", c.token, account, err)
		}
	}
}

func TestAnswersAreRemembered(t *testing.T) {
	a, r := reviewer(t, time.Minute)
	for range 3 {
		if _, err := r.Account(t.Context(), "good"); err != nil {
			t.Error(err)
		}
		if _, err := r.Account(t.Context(), "unknown"); datastorage.KindOf(err) != datastorage.Unauthorized {
			t.Error(err)
		}
	}
	if asked := a.asked.Load(); asked != 2 {
		t.Errorf("asked %d times", asked)
	}
	a.Close()
	if account, err := r.Account(t.Context(), "good"); account != "kubernaut/gateway" {
		t.Errorf("the API server is away: %q, %v", account, err)
	}
	if _, err := r.Account(t.Context(), "new"); datastorage.KindOf(err) != datastorage.Unavailable {
		t.Errorf("a new token meanwhile: %v", err)
	}
}

func TestFailuresAreNotRemembered(t *testing.T) {
	a, r := reviewer(t, time.Minute)
	a.status.Store(http.StatusForbidden)
	if _, err := r.Account(t.Context(), "good"); datastorage.KindOf(err) != datastorage.Unavailable {
		t.Error(err)
	}
	a.status.Store(0)
	if _, err := r.Account(t.Context(), "good"); err != nil {
		t.Error(err)
	}
}

func TestAnswersExpire(t *testing.T) {
	a, r := reviewer(t, time.Nanosecond)
	for range 2 {
		if _, err := r.Account(t.Context(), "good"); err != nil {
			t.Error(err)
		}
	}
	if asked := a.asked.Load(); asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}

func TestAtMostAThousandAnswers(t *testing.T) {
	_, r := reviewer(t, time.Minute)
	for n := range maxEntries + 50 {
		_, _ = r.Account(t.Context(), fmt.Sprint(n))
	}
	if n := len(r.answers.Keys()); n != maxEntries {
		t.Errorf("%d answers are kept", n)
	}
}

func TestManyRequestsAskOnce(t *testing.T) {
	a, r := reviewer(t, time.Minute)
	a.hold = make(chan struct{})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if account, err := r.Account(t.Context(), "good"); account != "kubernaut/gateway" {
				t.Errorf("%q, %v", account, err)
			}
		})
	}
	close(a.hold) // whoever comes later finds the answer
	all.Wait()
	if asked := a.asked.Load(); asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestAHangingServerIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	a, r := reviewer(t, time.Minute)
	a.hold = make(chan struct{})
	defer close(a.hold)
	start := time.Now()
	if _, err := r.Account(t.Context(), "good"); datastorage.KindOf(err) != datastorage.Unavailable || time.Since(start) > 2*timeout {
		t.Errorf("%v after %s", err, time.Since(start))
	}
}

func TestNothingMounted(t *testing.T) {
	if _, err := New(Options{CAFile: "/nowhere"}); err == nil {
		t.Error("no certificate authority")
	}
	folder := t.TempDir()
	file := filepath.Join(folder, "ca.crt")
	if err := os.WriteFile(file, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{CAFile: file}); err == nil {
		t.Error("nonsense as certificate authority")
	}
}
