package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
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
	start         time.Time
	operation     string   // empty: none of the contract
	args          []string // of the path
	account       string   // who asks, with token review only
	admitted      bool     // the request has a slot
	body          []byte
	reduced       bool   // the body has each of its members once
	events        int    // of a batch
	correlationID string // of a single event
	failure       error  // for the log only
}

// origin is what is stored of the request beside what it brought.
func (i *info) origin() datastorage.Origin {
	return datastorage.Origin{RequestID: i.id, Account: i.account}
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
		i := &info{id: r.Header.Get("X-Request-ID"), start: time.Now()}
		if !requestIDForm.MatchString(i.id) {
			i.id = newID().String()
		}
		r = r.WithContext(context.WithValue(r.Context(), infoKey{}, i))
		w.Header().Set("X-Request-ID", i.id)
		recorder := &recorder{ResponseWriter: w}
		defer func() {
			fault := recover()
			aborted := fault == http.ErrAbortHandler //nolint:errorlint // net/http compares in the same way
			if fault != nil && !aborted {
				h.Metrics.panics.Inc()
				h.Log.Error("a panic", "request_id", i.id, "operation", i.operation, "panic", fault, "stack", string(debug.Stack()))
				if recorder.status == 0 {
					writeProblem(recorder, r, internalError, &datastorage.Error{Detail: "internal error"})
				}
			}
			h.finish(r, i, recorder, time.Since(i.start))
			if aborted { // net/http ends the connection
				panic(http.ErrAbortHandler)
			}
		}()
		next.ServeHTTP(recorder, r)
	})
}

func (h *handler) finish(r *http.Request, i *info, w *recorder, took time.Duration) {
	h.Metrics.request(i.operation, w.status, took)
	level := slog.LevelInfo
	switch {
	case w.status == http.StatusInternalServerError:
		level = slog.LevelError
	case w.status > http.StatusInternalServerError && i.failure != nil:
		level = slog.LevelWarn // the change of state itself is a line of its own
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
		if w.status < 300 {
			h.Metrics.batchSize.Observe(float64(i.events))
		}
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
	"updateWorkflow":         maxSmallBody,
	"disableWorkflow":        maxSmallBody,
}

// bodyIsOptional are the operations for which no body at all is fine.
var bodyIsOptional = map[string]bool{"disableWorkflow": true}

// admit lets pass only what the generated server may see, and only as much of it as the limits allow.
func (h *handler) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i := infoOf(r.Context())
		route, found := h.server.FindPath(r.Method, r.URL)
		if !found {
			next.ServeHTTP(w, r)
			return
		}
		i.operation, i.args = route.OperationID(), route.Args()
		if err := h.authorize(r, i); err != nil {
			h.answerError(r.Context(), w, r, err)
			return
		}
		if err := checkQuery(i.operation, r.URL.RawQuery); err != nil {
			h.answerError(r.Context(), w, r, err)
			return
		}
		_, hasBody := bodyLimits[i.operation]
		noneGiven := bodyIsOptional[i.operation] && r.ContentLength == 0
		if hasBody && !noneGiven && !isPlainJSON(r.Header) {
			writeProblem(w, r, unsupportedMediaType, &datastorage.Error{
				Detail: "the body must be application/json in UTF-8 without Content-Encoding"})
			return
		}
		if rules[i.operation].class == free {
			next.ServeHTTP(w, r)
			return
		}
		h.visit(w, r, i, next)
	})
}

// visit reads the body and has the request handled when there is room for both. A body is read before its slot is taken:
// a sender that stalls holds memory that is bounded, but keeps nobody else from working.
func (h *handler) visit(w http.ResponseWriter, r *http.Request, i *info, next http.Handler) {
	v := &visit{gate: h.gate, class: rules[i.operation].class, since: i.start}
	defer v.leave()
	if err := h.receive(w, r, i, v); err != nil {
		h.answerError(r.Context(), w, r, err)
		return
	}
	if err := v.enter(r.Context()); err != nil {
		h.answerError(r.Context(), w, r, err)
		return
	}
	i.admitted = true
	if v.class == write {
		ctx, cancel := datastorage.Deadline(r.Context(), v.since)
		defer cancel()
		r = r.WithContext(ctx)
	}
	if datastorage.CheckText(i.body) != "" {
		h.answerError(r.Context(), w, r, h.explain(i.operation, i.body))
		return
	}
	usable, start := h.Health.Database() == datastorage.Connected, time.Now()
	next.ServeHTTP(w, r)
	if usable {
		h.Metrics.took(i.operation, statusOf(w), time.Since(start))
	}
}

// receive takes the body into memory when there is room for it. What was spent before, with a token or waiting for room,
// is put to the account of the request: its last byte may have been there all the time.
func (h *handler) receive(w http.ResponseWriter, r *http.Request, i *info, v *visit) error {
	limit, hasBody := bodyLimits[i.operation]
	if !hasBody {
		return nil
	}
	size := r.ContentLength
	if size > limit {
		return bodyTooLarge(w, limit)
	}
	if size < 0 { // it comes in chunks
		size = limit
	}
	if err := v.reserve(r.Context(), size); err != nil {
		return err
	}
	spent := time.Since(v.since)
	if err := readBody(w, r, i, limit); err != nil {
		return err
	}
	v.shrink(int64(len(i.body)))
	v.since = time.Now().Add(-spent)
	return nil
}

func isPlainJSON(header http.Header) bool {
	kind, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	charset := params["charset"]
	return err == nil && kind == "application/json" && header.Get("Content-Encoding") == "" &&
		(charset == "" || strings.EqualFold(charset, "utf-8"))
}

func bodyTooLarge(w http.ResponseWriter, limit int64) error {
	w.Header().Set("Connection", "close") // the rest is not read
	return &datastorage.Error{Kind: datastorage.TooLarge, Detail: fmt.Sprintf("the body must be at most %d bytes", limit),
		Fields: datastorage.FieldErrors{{Field: "body", Text: "is too large"}}}
}

// readBody keeps the body for whoever has to explain it, and gives the next layer a fresh reader.
func readBody(w http.ResponseWriter, r *http.Request, i *info, limit int64) error {
	var body bytes.Buffer
	if r.ContentLength > 0 {
		body.Grow(int(r.ContentLength) + bytes.MinRead) // once, and no more than was reserved
	}
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	var beyond *http.MaxBytesError
	switch {
	case errors.As(err, &beyond):
		return bodyTooLarge(w, limit)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		// It stalled, or its sender has gone. No answer, because senders drop a batch on a 4xx.
		i.failure = fmt.Errorf("the body did not arrive: %w", err)
		panic(http.ErrAbortHandler)
	case err != nil:
		return datastorage.FieldErrors{{Field: "body", Text: "could not be read"}}.Err()
	}
	i.body = body.Bytes()
	r.Body = io.NopCloser(bytes.NewReader(i.body))
	r.ContentLength = int64(len(i.body))
	return nil
}

func statusOf(w http.ResponseWriter) int {
	if recorder, ok := w.(*recorder); ok {
		return recorder.status
	}
	return 0
}

// newID makes a time-ordered id; it fails only if the system has no randomness.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
