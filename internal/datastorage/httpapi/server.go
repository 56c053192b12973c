// Package httpapi serves the contract api/openapi/datastorage.yaml over HTTP.
package httpapi

import (
	"log/slog"
	"net/http"
	"time"

	api "github.com/kubernaut-ai/kubernaut/api/openapi/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// Options of the handler.
type Options struct {
	Events    datastorage.EventReader
	Ingest    *datastorage.Ingest
	Workflows datastorage.WorkflowStore
	Rates     datastorage.RateStore
	// RequireIfMatch refuses changes of workflows that do not say which row they are meant for.
	RequireIfMatch bool
	// Searched is given the audit event of each search; it does not block.
	Searched  func(datastorage.Event)
	Health    *datastorage.Health
	Window    datastorage.Window
	MaxOffset int // of a query for audit events
	Limits    Limits
	Auth      datastorage.Auth
	// Authenticator is nil if nobody needs a token.
	Authenticator datastorage.Authenticator
	Metrics       *Metrics
	Log           *slog.Logger
}

// handler answers the operations of the contract; it implements the generated interface.
type handler struct {
	Options
	now    func() time.Time
	gate   *gate
	server *api.Server
}

var _ api.Handler = (*handler)(nil)

// New makes the handler of everything that the service serves.
func New(options Options) (http.Handler, error) {
	h := &handler{Options: options, now: time.Now, gate: newGate(options.Limits, options.Metrics)}
	server, err := api.NewServer(h,
		api.WithErrorHandler(h.answerError),
		api.WithNotFound(func(w http.ResponseWriter, r *http.Request) {
			writeProblem(w, r, notFound, &datastorage.Error{Detail: "there is nothing under this path"})
		}),
		api.WithMethodNotAllowed(func(w http.ResponseWriter, r *http.Request, allowed string) {
			refuseMethod(w, r, allowed)
		}))
	if err != nil {
		return nil, err
	}
	h.server = server
	return h.observe(h.withMetrics(h.admit(h.withPages(server)))), nil
}

func (h *handler) withMetrics(next http.Handler) http.Handler {
	metrics := h.Metrics.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/metrics":
			next.ServeHTTP(w, r)
		case r.Method != http.MethodGet:
			refuseMethod(w, r, http.MethodGet)
		default:
			infoOf(r.Context()).operation = "getMetrics"
			metrics.ServeHTTP(w, r)
		}
	})
}

func refuseMethod(w http.ResponseWriter, r *http.Request, allowed string) {
	for _, header := range []string{"Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Accept-Post", "Accept-Patch"} {
		w.Header().Del(header) // no cross-origin requests
	}
	w.Header().Set("Allow", allowed)
	writeProblem(w, r, methodNotAllowed, &datastorage.Error{Detail: "allowed here: " + allowed})
}

// usable refuses what needs PostgreSQL and cannot succeed.
func (h *handler) usable() error {
	switch h.Health.Database() {
	case datastorage.Unknown:
		return unavailable("the service is starting")
	case datastorage.SchemaOutdated:
		return unavailable("the database schema is older than this service")
	case datastorage.Unreachable:
		return unavailable("the database is not available")
	}
	return nil
}

func unavailable(detail string) error {
	return &datastorage.Error{Kind: datastorage.Unavailable, Detail: detail, RetryAfter: 5 * time.Second}
}
