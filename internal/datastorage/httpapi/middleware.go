package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// info is what is known of a request on its way through.
type info struct {
	id            string
	operation     string // empty: none of the contract
	body          []byte
	events        int    // of a batch
	correlationID string // of a single event
	failure       error  // for the log only
}

type infoKey struct{}

func infoOf(ctx context.Context) *info {
	if i, ok := ctx.Value(infoKey{}).(*info); ok {
		return i
	}
	return &info{}
}

var requestIDForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// observe is the outermost layer: request id, log line, counters, and a 500 instead of a panic.
func (h *handler) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		i := &info{id: r.Header.Get("X-Request-ID")}
		if !requestIDForm.MatchString(i.id) {
			i.id = newID().String()
		}
		r = r.WithContext(context.WithValue(r.Context(), infoKey{}, i))
		w.Header().Set("X-Request-ID", i.id)
		recorder := &recorder{ResponseWriter: w}
		defer func() {
			if fault := recover(); fault != nil {
				h.Metrics.panics.Inc()
				h.Log.Error("a panic", "request_id", i.id, "operation", i.operation, "panic", fault, "stack", string(debug.Stack()))
				if recorder.status == 0 {
					writeProblem(recorder, r, internalError, &datastorage.Error{Detail: "internal error"})
				}
			}
			h.finish(r, i, recorder, time.Since(start))
		}()
		next.ServeHTTP(recorder, r)
	})
}

func (h *handler) finish(r *http.Request, i *info, w *recorder, took time.Duration) {
	h.Metrics.request(i.operation, w.status, took)
	level := slog.LevelInfo
	switch {
	case w.status >= http.StatusInternalServerError && i.failure != nil:
		level = slog.LevelError
	case strings.HasPrefix(r.URL.Path, "/health") || r.URL.Path == "/metrics":
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{
		slog.String("request_id", i.id), slog.String("operation", i.operation), slog.String("method", r.Method),
		slog.String("path", datastorage.Cut(r.URL.Path)), slog.Int("status", w.status),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000),
		slog.Int("bytes_in", len(i.body)), slog.Int("bytes_out", w.bytes), slog.String("remote_addr", r.RemoteAddr),
	}
	if i.events > 0 {
		attrs = append(attrs, slog.Int("events", i.events))
	}
	if i.correlationID != "" {
		attrs = append(attrs, slog.String("correlation_id", i.correlationID))
	}
	if i.failure != nil {
		attrs = append(attrs, slog.String("error", i.failure.Error()))
	}
	h.Log.LogAttrs(r.Context(), level, "request", attrs...)
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status, bytes int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.Header().Del("Access-Control-Expose-Headers") // the generated code adds it; there are no cross-origin requests
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += n
	return n, err
}

func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Limits of bodies in bytes.
const (
	maxEventBody    = 1 << 20
	maxBatchBody    = 5 << 20
	maxWorkflowBody = 2 << 20
	maxSmallBody    = 64 << 10
)

var bodyLimits = map[string]int64{
	"createAuditEvent":       maxEventBody,
	"createAuditEventsBatch": maxBatchBody,
	"createWorkflow":         maxWorkflowBody,
	"searchWorkflows":        maxSmallBody,
}

// admit lets pass only what the generated server may see: known parameters, a JSON body within its limit, and text that
// can be stored.
func (h *handler) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i := infoOf(r.Context())
		route, found := h.server.FindPath(r.Method, r.URL)
		if !found {
			next.ServeHTTP(w, r)
			return
		}
		i.operation = route.OperationID()
		if err := checkQuery(i.operation, r.URL.RawQuery); err != nil {
			h.answerError(r.Context(), w, r, err)
			return
		}
		limit, hasBody := bodyLimits[i.operation]
		if !hasBody {
			next.ServeHTTP(w, r)
			return
		}
		if !isPlainJSON(r.Header) {
			writeProblem(w, r, unsupportedMediaType, &datastorage.Error{
				Detail: "the body must be application/json in UTF-8 without Content-Encoding"})
			return
		}
		if err := readBody(w, r, i, limit); err != nil {
			h.answerError(r.Context(), w, r, err)
			return
		}
		if datastorage.CheckText(i.body) != "" {
			h.answerError(r.Context(), w, r, h.explain(i.operation, i.body))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isPlainJSON(header http.Header) bool {
	kind, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	charset := params["charset"]
	return err == nil && kind == "application/json" && header.Get("Content-Encoding") == "" &&
		(charset == "" || strings.EqualFold(charset, "utf-8"))
}

// readBody keeps the body for whoever has to explain it, and gives the next layer a fresh reader.
func readBody(w http.ResponseWriter, r *http.Request, i *info, limit int64) error {
	tooLarge := &datastorage.Error{Kind: datastorage.TooLarge, Detail: "the body is larger than allowed"}
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // the rest is not read
		return tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var beyond *http.MaxBytesError
	switch {
	case errors.As(err, &beyond):
		return tooLarge
	case err != nil:
		return datastorage.FieldErrors{{Field: "body", Text: "could not be read"}}.Err()
	}
	i.body = body
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	return nil
}

// newID makes a time-ordered id; it fails only if the system has no randomness.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
