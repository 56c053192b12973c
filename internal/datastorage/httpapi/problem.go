package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/ogen-go/ogen/ogenerrors"

	api "github.com/kubernaut-ai/kubernaut/api/openapi/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// slug names a kind of problem; its title never changes.
type slug struct {
	status      int
	name, title string
}

var (
	validationError      = slug{http.StatusBadRequest, "validation-error", "Validation Error"}
	notFound             = slug{http.StatusNotFound, "not-found", "Not Found"}
	methodNotAllowed     = slug{http.StatusMethodNotAllowed, "method-not-allowed", "Method Not Allowed"}
	conflict             = slug{http.StatusConflict, "conflict", "Workflow Already Exists"}
	payloadTooLarge      = slug{http.StatusRequestEntityTooLarge, "payload-too-large", "Payload Too Large"}
	unsupportedMediaType = slug{http.StatusUnsupportedMediaType, "unsupported-media-type", "Unsupported Media Type"}
	internalError        = slug{http.StatusInternalServerError, "internal-error", "Internal Server Error"}
	immutableField       = slug{http.StatusBadRequest, "immutable-field-violation", "Immutable Field"}
	unauthorized         = slug{http.StatusUnauthorized, "unauthorized", "Unauthorized"}
	forbidden            = slug{http.StatusForbidden, "forbidden", "Forbidden"}
	preconditionFailed   = slug{http.StatusPreconditionFailed, "precondition-failed", "Precondition Failed"}
	preconditionRequired = slug{http.StatusPreconditionRequired, "precondition-required", "Precondition Required"}
	tooManyRequests      = slug{http.StatusTooManyRequests, "too-many-requests", "Too Many Requests"}
	serviceUnavailable   = slug{http.StatusServiceUnavailable, "service-unavailable", "Service Unavailable"}
)

var slugs = map[datastorage.Kind]slug{
	datastorage.Internal:             internalError,
	datastorage.Invalid:              validationError,
	datastorage.TooLarge:             payloadTooLarge,
	datastorage.NotFound:             notFound,
	datastorage.Conflict:             conflict,
	datastorage.Immutable:            immutableField,
	datastorage.PreconditionFailed:   preconditionFailed,
	datastorage.PreconditionRequired: preconditionRequired,
	datastorage.Unauthorized:         unauthorized,
	datastorage.Forbidden:            forbidden,
	datastorage.Overloaded:           tooManyRequests,
	datastorage.Unavailable:          serviceUnavailable,
}

const problemBase = "kubernaut.ai"

// answerError writes the problem for whatever a handler, or the generated code in front of it, gave up with.
func (h *handler) answerError(ctx context.Context, w http.ResponseWriter, r *http.Request, err error) {
	info := infoOf(ctx)
	var decode *ogenerrors.DecodeRequestError
	var params *ogenerrors.DecodeParamsError
	var known *datastorage.Error
	switch {
	case errors.As(err, &decode):
		if h.lastMembers(w, r.WithContext(ctx), info) {
			return
		}
		err = h.explain(info.operation, info.body)
	case errors.As(err, &params):
		err = explainParams(params)
	}
	if !errors.As(err, &known) {
		known = &datastorage.Error{Kind: datastorage.Internal, Err: err}
	}
	if known.Err != nil {
		info.failure = known.Err
	}
	if known.Kind == datastorage.Internal {
		known = &datastorage.Error{Kind: datastorage.Internal, Detail: "internal error"}
	}
	if statusOf(w) != 0 { // the answer was under way when its client stopped reading
		return
	}
	if known.Kind == datastorage.Unavailable && unlessGone(ctx, err) == nil {
		info.failure = fmt.Errorf("the client has gone: %w", ctx.Err())
	} else {
		h.Metrics.refused(info, err, known)
	}
	var overload *refusal
	if errors.As(err, &overload) { // another replica may have room, and here the memory of the connection is free
		w.Header().Set("Connection", "close")
	}
	if known.Kind == datastorage.Unauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="datastorage"`)
	}
	if known.Kind == datastorage.Unavailable || known.Kind == datastorage.Overloaded {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(known.RetryAfter.Seconds()))))
	}
	writeProblem(w, r, slugs[known.Kind], known)
}

// explainParams is for parameters of the path; those of the query were checked before.
func explainParams(err *ogenerrors.DecodeParamsError) error {
	var errs datastorage.FieldErrors
	var param *ogenerrors.DecodeParamError
	if errors.As(err, &param) {
		text := "is not valid"
		if param.Name == "workflow_id" {
			text = "must be a UUID"
		}
		errs.Add(param.Name, text)
	} else {
		errs.Add("query", "is not valid")
	}
	return errs.Err()
}

// writeProblem writes the one form of every answer that is not 2xx.
func writeProblem(w http.ResponseWriter, r *http.Request, s slug, e *datastorage.Error) {
	problem := api.Problem{
		Type:           url.URL{Scheme: "https", Host: problemBase, Path: "/problems/" + s.name},
		Title:          s.title,
		Status:         int32(s.status),
		Detail:         api.NewOptString(e.Detail),
		Instance:       api.NewOptURI(url.URL{Path: r.URL.Path}),
		RequestID:      api.NewOptString(infoOf(r.Context()).id),
		InvalidIndexes: e.Indexes,
	}
	if s.status == http.StatusBadRequest && len(e.Fields) > 0 {
		fields := make(api.ProblemFieldErrors, len(e.Fields))
		for _, f := range e.Fields {
			fields[f.Field] = f.Text
		}
		problem.FieldErrors = api.NewOptProblemFieldErrors(fields)
	}
	body, err := problem.MarshalJSON()
	if err != nil {
		body = []byte(`{"type":"https://kubernaut.ai/problems/internal-error","title":"Internal Server Error","status":500}`)
		s.status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(s.status)
	_, _ = w.Write(body) // the client has gone; nobody is left to tell
}
