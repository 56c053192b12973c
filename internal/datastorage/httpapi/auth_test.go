package httpapi

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// fixed knows one account, whatever the token.
type fixed string

func (f fixed) Account(context.Context, string) (string, error) { return string(f), nil }

// tokens are good, or not, or cannot be checked.
type tokens struct{}

func (tokens) Account(_ context.Context, token string) (string, error) {
	switch {
	case token == "down":
		return "", &datastorage.Error{Kind: datastorage.Unavailable, Detail: "the bearer token cannot be checked now", RetryAfter: time.Second}
	case strings.HasPrefix(token, "bad"):
		return "", &datastorage.Error{Kind: datastorage.Unauthorized, Detail: "the bearer token is not valid"}
	}
	return "kubernaut/" + token, nil
}

// O6: what who may do; see also TestTokenReview of the program.
func TestAuth(t *testing.T) {
	search := `{"filters":{"signal_type":"a","severity":"high","component":"c","environment":"e","priority":"P1"}}`
	one := workflowPath + "/" + uuid.NewString()
	for _, c := range []struct {
		method, path, body string
		right              string // the account that may; 2xx, 4xx of the request itself
		status             int
	}{
		{"POST", eventsPath, event(nil), "writer", 201},
		{"POST", batchPath, "[" + event(nil) + "]", "writer", 201},
		{"GET", eventsPath, "", "reader", 200},
		{"GET", workflowPath, "", "reader", 200},
		{"GET", one, "", "reader", 404},
		{"POST", searchPath, search, "reader", 200},
		{"POST", workflowPath, "{}", "admin", 400},
	} {
		for _, as := range []struct {
			header string
			status int
		}{
			{"", 401}, {"Basic writer", 401}, {"Bearer", 401}, {"Bearer  ", 401}, {"Bearer bad", 401}, {"Bearer down", 503},
			{"Bearer writer", 403}, {"Bearer reader", 403}, {"Bearer admin", 403}, {"Bearer stranger", 403}, {"bearer " + c.right, c.status},
		} {
			if as.header == "Bearer "+c.right {
				as.status = c.status
			}
			f := newFixture(t, func(o *Options) {
				o.Authenticator = tokens{}
				o.Auth = datastorage.Auth{Writers: []string{"kubernaut/writer"}, Readers: []string{"kubernaut/reader"}, CatalogAdmins: []string{"kubernaut/admin"}}
			})
			w := f.do(c.method, c.path, c.body, "Authorization", as.header)
			if w.Code != as.status {
				t.Errorf("%s %s as %q: %d, want %d", c.method, c.path, as.header, w.Code, as.status)
			}
			if w.Code >= 400 {
				problemOf(t, w, as.status)
			}
			if (w.Code == 401) != (w.Header().Get("WWW-Authenticate") == `Bearer realm="datastorage"`) {
				t.Errorf("%d with WWW-Authenticate %q", w.Code, w.Header().Get("WWW-Authenticate"))
			}
			if stored := len(f.events) > 0; stored != (as.status == 201) {
				t.Errorf("stored: %t", stored)
			} else if stored && f.events[0].Origin.Account != "kubernaut/writer" {
				t.Errorf("stored as %q", f.events[0].Origin.Account)
			}
			for _, path := range []string{"/health", "/health/ready", "/health/live", "/metrics"} {
				if w := f.do("GET", path, ""); w.Code != 200 {
					t.Errorf("%s: %d", path, w.Code)
				}
			}
		}
	}
}

// Every operation of the contract is known here: a new one is not open, or without bounds, by mistake.
func TestEveryOperationHasARule(t *testing.T) {
	for path, methods := range served().Paths {
		for _, o := range methods {
			r, found := rules[o.OperationID]
			if data := strings.HasPrefix(path, "/api/"); data != found {
				t.Errorf("%s: a rule: %t", o.OperationID, found)
			}
			if found && (r.class == free || r.right == datastorage.MayNothing) {
				t.Errorf("%s is %+v", o.OperationID, r)
			}
		}
	}
}
