package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
)

const maxBody = 8 << 20

// Server answers chat completions from the book and keeps the journal.
type Server struct {
	book    *Book
	now     func() time.Time
	journal *Journal
	struck  counters
	mux     *http.ServeMux
}

// NewServer makes the handler; now stamps `created` and the journal, and nothing else.
func NewServer(book *Book, now func() time.Time) *Server {
	s := &Server{struck: counters{of: map[string]int{}}, book: book, now: now, journal: NewJournal(20_000, 64<<20), mux: http.NewServeMux()}
	s.mux.HandleFunc("POST /v1/chat/completions", s.complete)
	s.mux.HandleFunc("GET /v1/models", s.models)
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]bool{"strict": true})
	})
	s.mux.HandleFunc("GET /_mock/requests", s.requests)
	s.mux.HandleFunc("GET /_mock/counts", s.counts)
	return s
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": []map[string]any{
		{"id": "mock", "object": "model", "created": 0, "owned_by": "kubernaut"},
	}})
}

func (s *Server) requests(w http.ResponseWriter, r *http.Request) {
	entries, dropped := s.journal.Entries(r.URL.Query().Get("remediation_id"))
	writeJSON(w, http.StatusOK, map[string]any{"requests": entries, "dropped": dropped})
}

func (s *Server) counts(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, s.journal.Counts(r.URL.Query().Get("remediation_id")))
}

func (s *Server) complete(w http.ResponseWriter, r *http.Request) {
	var request chatRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&request); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			writeError(w, http.StatusRequestEntityTooLarge, "too_large", "the request body is too large")
			return
		}
		writeError(w, http.StatusBadRequest, "invalid_json", fmt.Sprintf("reading the request: %v", err))
		return
	}
	prompt, err := ParsePrompt(request.userMessage())
	result, hasTool := request.searchResult()
	entry := newEntry(s.now(), &request, prompt, hasTool)
	if err != nil {
		entry.Status = http.StatusUnprocessableEntity
		s.journal.Add(entry)
		writeError(w, entry.Status, "prompt_contract", err.Error())
		return
	}
	if _, special := s.book.Row(prompt.SignalType); !hasTool && s.struck.strikes(special.Fault, prompt.RemediationID) {
		entry.Fault = true
		if !s.fail(w, r, special.Fault, entry) {
			return
		}
	}
	answer, err := s.answer(prompt, &request, result, hasTool)
	if err != nil {
		entry.Status = http.StatusInternalServerError
		s.journal.Add(entry)
		writeError(w, entry.Status, "internal", err.Error())
		return
	}
	entry.Status = http.StatusOK
	s.journal.Add(entry)
	s.send(w, &request, answer)
}

// fail is what a fault does; true when an answer follows all the same.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, fault *Fault, entry Entry) bool {
	if fault.Status == 0 {
		if fault.wait(r.Context()) == nil {
			return true
		}
		entry.Status = 499 // the client has gone
		s.journal.Add(entry)
		return false
	}
	entry.Status = fault.Status
	s.journal.Add(entry)
	if fault.RetryAfter > 0 {
		w.Header().Set(fault.header())
	}
	writeError(w, fault.Status, "fault", "a fault of the scenario file")
	return false
}

// answer decides the turn: a search while the tool is offered and nothing was searched yet, else the verdict.
func (s *Server) answer(prompt Prompt, request *chatRequest, result string, hasTool bool) (reply, error) {
	row, special := s.book.Row(prompt.SignalType)
	if request.offersSearch() && !hasTool {
		arguments, err := SearchArguments(prompt, row)
		if err != nil {
			return reply{}, fmt.Errorf("encoding the search of row %q: %w", row.SignalType, err)
		}
		return reply{Call: &toolCall{
			ID: callID(prompt), Type: "function", Function: functionCall{Name: SearchTool, Arguments: arguments},
		}}, nil
	}
	lookup := Lookup(ByRule)
	if hasTool {
		lookup = InResult(result)
	}
	text, err := Answer(prompt, row, special, lookup)
	return reply{Text: text}, err
}

// callID is fixed by the prompt, so that the same request gives the same bytes.
func callID(prompt Prompt) string {
	name := fmt.Sprintf("%s/%s/%d", prompt.RemediationID, prompt.Kind, prompt.Attempt)
	return "call_" + uuid.NewSHA1(catalogNamespace, []byte(name)).String()
}

func (s *Server) send(w http.ResponseWriter, request *chatRequest, answer reply) {
	head := completion{ID: "chatcmpl-" + uuid.NewString(), Created: s.now().Unix(), Model: request.Model}
	tokens := countTokens(request, answer)
	if !request.Stream {
		writeJSON(w, http.StatusOK, plainBody(head, answer, tokens))
		return
	}
	var wanted *usage
	if request.StreamOptions.IncludeUsage {
		wanted = &tokens
	}
	_ = writeStream(w, chunks(head, answer, wanted)) // the client has gone: nobody is left to tell
}
