package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-faster/jx"

	api "github.com/kubernaut-ai/kubernaut/api/openapi/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// A page of a list is written row by row as it comes from the database and is never held as a whole: the generated
// encoders, which take a whole answer, do not serve these operations.

// QueryAuditEvents is served by eventsPage.
func (h *handler) QueryAuditEvents(context.Context, api.QueryAuditEventsParams) (api.QueryAuditEventsRes, error) {
	return nil, errors.ErrUnsupported
}

// ListWorkflows is served by workflowsPage.
func (h *handler) ListWorkflows(context.Context, api.ListWorkflowsParams) (api.ListWorkflowsRes, error) {
	return nil, errors.ErrUnsupported
}

// ListWorkflowVersions is served by versionsPage.
func (h *handler) ListWorkflowVersions(context.Context, api.ListWorkflowVersionsParams) (api.ListWorkflowVersionsRes, error) {
	return nil, errors.ErrUnsupported
}

// withPages serves the lists and leaves the rest to the generated server. Their queries have been checked.
func (h *handler) withPages(next http.Handler) http.Handler {
	lists := map[string]func(context.Context, *page, url.Values) error{
		"queryAuditEvents": h.eventsPage, "listWorkflows": h.workflowsPage, "listWorkflowVersions": h.versionsPage}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list, found := lists[infoOf(r.Context()).operation]
		if !found {
			next.ServeHTTP(w, r)
			return
		}
		p := newPage(w)
		err := h.usable()
		if err == nil {
			err = list(r.Context(), p, r.URL.Query())
		}
		gone := p.abandoned(r.Context())
		switch {
		case err == nil:
			p.flush()
		case gone != nil:
			infoOf(r.Context()).failure = gone
			panic(http.ErrAbortHandler)
		case p.begun:
			infoOf(r.Context()).failure = err
			panic(http.ErrAbortHandler) // the status is out: only the end of the connection can tell that this is not all
		default:
			h.answerError(r.Context(), w, r, err)
		}
	})
}

// eventsPage answers queryAuditEvents.
func (h *handler) eventsPage(ctx context.Context, p *page, values url.Values) error {
	q, err := h.question(values)
	if err != nil {
		return err
	}
	if pending := h.Health.Pending(); pending > 0 {
		p.w.Header().Set("X-Audit-Pending", strconv.Itoa(pending))
	}
	p.raw(`{"data":[`)
	found, err := h.Events.QueryEvents(ctx, q.filter, q.page, func(e datastorage.Event) error {
		answer := auditEvent(e)
		return p.element(answer.Encode)
	})
	h.Metrics.queried("filter", p.ofStore(ctx, err))
	if err != nil {
		return err
	}
	pagination := api.Pagination{Limit: q.page.Limit, Offset: q.page.Offset, HasMore: found.HasMore}
	if q.page.WithTotal {
		pagination.Total = api.NewOptInt(found.Total)
	}
	if found.TotalIsLowerBound {
		pagination.TotalIsLowerBound = api.NewOptBool(true)
	}
	if found.HasMore {
		next := datastorage.Cursor{After: found.Last, Since: q.filter.Since, Until: q.filter.Until, Question: q.digest}
		pagination.NextCursor = api.NewOptString(next.String())
	}
	p.raw(`],"pagination":`)
	p.value(pagination.Encode)
	p.raw(`}`)
	return nil
}

// question is what a query for audit events asks.
type question struct {
	filter datastorage.EventFilter
	page   datastorage.Page
	digest [8]byte // of the filters as they were written
}

func (h *handler) question(values url.Values) (q question, err error) {
	var errs datastorage.FieldErrors
	filters := []string{"event_type", "event_category", "event_outcome", "severity", "correlation_id", "since", "until"}
	asked := make([]string, len(filters))
	for i, name := range filters {
		asked[i] = strconv.FormatBool(values.Has(name)) + values.Get(name)
	}
	q.digest = datastorage.QuestionOf(asked...)
	q.filter = datastorage.EventFilter{
		Type: given(values, "event_type"), Category: given(values, "event_category"), Outcome: given(values, "event_outcome"),
		Severity: given(values, "severity"), CorrelationID: given(values, "correlation_id"),
	}
	q.page = datastorage.Page{Limit: integer(values, "limit", 50), Offset: integer(values, "offset", 0), WithTotal: values.Get("include_total") != "false"}
	if q.page.Offset > h.MaxOffset {
		errs.Add("offset", "must be between 0 and "+strconv.Itoa(h.MaxOffset)+"; use cursor beyond")
	}
	now := h.now()
	if since := given(values, "since"); since != nil {
		q.filter.Since = pointer(datastorage.ParseMoment(*since, now))
	}
	if until := given(values, "until"); until != nil {
		q.filter.Until = pointer(datastorage.ParseMoment(*until, now))
	}
	if values.Has("cursor") {
		q.resume(values, &errs)
	}
	if q.filter.Since != nil && q.filter.Until != nil && q.filter.Since.After(*q.filter.Until) {
		errs.Add("since", "must not be after until")
	}
	return q, errs.Err()
}

// resume takes up a question where its last page ended, with the time range of its first.
func (q *question) resume(values url.Values, errs *datastorage.FieldErrors) {
	cursor, ok := datastorage.ParseCursor(values.Get("cursor"))
	switch {
	case !ok:
		errs.Add("cursor", "must be the next_cursor of an earlier answer, unchanged")
	case q.page.Offset > 0:
		errs.Add("cursor", "must not be given together with offset")
	case cursor.Question != q.digest:
		errs.Add("cursor", "belongs to other filters: repeat those of the first page unchanged")
	}
	q.filter.Since, q.filter.Until, q.page.After = cursor.Since, cursor.Until, &cursor.After
	q.page.WithTotal = values.Get("include_total") == "true"
}

// workflowsPage answers listWorkflows.
func (h *handler) workflowsPage(ctx context.Context, p *page, values url.Values) error {
	filter := datastorage.WorkflowFilter{
		Status: given(values, "status"), Environment: given(values, "environment"), Priority: given(values, "priority"),
		Component: given(values, "component"),
	}
	asked := datastorage.Page{Limit: integer(values, "limit", 100), Offset: integer(values, "offset", 0)}
	p.raw(`{"workflows":[`)
	total, err := h.Workflows.ListWorkflows(ctx, filter, asked, func(w datastorage.Workflow) error {
		answer := remediationWorkflow(w)
		return p.element(answer.Encode)
	})
	h.Metrics.queried("list", p.ofStore(ctx, err))
	if err != nil {
		return err
	}
	p.raw(`],"limit":` + strconv.Itoa(asked.Limit) + `,"offset":` + strconv.Itoa(asked.Offset) + `,"total":` + strconv.Itoa(total) + `}`)
	return nil
}

// versionsPage answers listWorkflowVersions.
func (h *handler) versionsPage(ctx context.Context, p *page, _ url.Values) error {
	name := infoOf(ctx).args[0]
	var errs datastorage.FieldErrors
	if errs.Add("workflow_name", datastorage.CheckText([]byte(name))); len(errs) > 0 {
		return errs.Err()
	}
	p.raw(`{"workflow_name":`)
	p.value(func(e *jx.Encoder) { e.Str(name) })
	p.raw(`,"versions":[`)
	total, err := h.Workflows.ListVersions(ctx, name, func(w datastorage.Workflow) error {
		answer := remediationWorkflow(w)
		return p.element(answer.Encode)
	})
	h.Metrics.queried("versions", p.ofStore(ctx, err))
	if err != nil {
		return err
	}
	p.raw(`],"total":` + strconv.Itoa(total) + `}`)
	return nil
}

// given is a parameter, or nil.
func given(values url.Values, name string) *string {
	if !values.Has(name) {
		return nil
	}
	value := values.Get(name)
	return &value
}

// integer is a parameter that was checked, or its default.
func integer(values url.Values, name string, preset int) int {
	if n, err := strconv.Atoi(values.Get(name)); err == nil {
		return n
	}
	return preset
}

// pageBuffer is what a page holds before it is sent.
const pageBuffer = 32 << 10

// page is an answer that is written piece by piece.
type page struct {
	w       http.ResponseWriter
	out     *bufio.Writer
	encoder jx.Encoder
	rows    int
	begun   bool  // the status is sent
	gone    error // why nothing can be sent any more
}

func newPage(w http.ResponseWriter) *page {
	p := &page{w: w}
	p.out = bufio.NewWriterSize(sender{p}, pageBuffer)
	return p
}

// sender is the page's side of the connection.
type sender struct{ *page }

func (s sender) Write(b []byte) (int, error) {
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	return s.w.Write(b)
}

// raw writes a piece of JSON. An error stays with the buffer and is that of the next element.
func (p *page) raw(json string) { _, _ = p.out.WriteString(json) }

func (p *page) value(encode func(*jx.Encoder)) {
	p.encoder.Reset()
	encode(&p.encoder)
	_, _ = p.out.Write(p.encoder.Bytes()) // as raw
}

// abandoned is why nobody reads the page any more, or nil.
func (p *page) abandoned(ctx context.Context) error {
	if p.gone == nil && ctx.Err() != nil {
		return fmt.Errorf("the client has gone: %w", ctx.Err())
	}
	return p.gone
}

// ofStore is the error of a query, unless it only tells that nobody reads the page any more: the store, which passes such
// an error on, takes any failure of a connection for one of its own.
func (p *page) ofStore(ctx context.Context, err error) error {
	if p.abandoned(ctx) != nil {
		return nil
	}
	return err
}

// element writes the next row of a list. Its error means that nobody reads any more.
func (p *page) element(encode func(*jx.Encoder)) error {
	if p.rows++; p.rows > 1 {
		p.raw(",")
	}
	p.value(encode)
	if _, err := p.out.Write(nil); err != nil {
		p.gone = fmt.Errorf("the client does not read: %w", err)
	}
	return p.gone
}

func (p *page) flush() { _ = p.out.Flush() } // the client has gone; nobody is left to tell
