package main

import (
	"encoding/json"
	"fmt"
	"net/http"
)

type completion struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Choices []choice `json:"choices"`
	Usage   *usage   `json:"usage,omitempty"`
}

type choice struct {
	Index   int          `json:"index"`
	Message *chatMessage `json:"message,omitempty"`
	Delta   *chatMessage `json:"delta,omitempty"`
	Finish  *string      `json:"finish_reason"`
}

type chatMessage struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content,omitempty"`
	ToolCalls []toolCall `json:"tool_calls,omitempty"`
}

// plainBody is the whole answer in one object.
func plainBody(head completion, answer reply, tokens usage) completion {
	finish := answer.finish()
	m := chatMessage{Role: "assistant"}
	if answer.Call != nil {
		m.ToolCalls = []toolCall{*answer.Call}
	} else {
		m.Content = &answer.Text
	}
	head.Object, head.Usage = "chat.completion", &tokens
	head.Choices = []choice{{Message: &m, Finish: &finish}}
	return head
}

// chunks is the answer as server-sent events: the role, the content, the end, and the usage if it was asked for.
func chunks(head completion, answer reply, tokens *usage) []completion {
	finish, first := answer.finish(), 0
	body := &chatMessage{Content: &answer.Text}
	if answer.Call != nil {
		call := *answer.Call
		call.Index = &first
		body = &chatMessage{ToolCalls: []toolCall{call}}
	}
	head.Object = "chat.completion.chunk"
	chunk := func(choices ...choice) completion {
		c := head
		c.Choices = append([]choice{}, choices...)
		return c
	}
	all := []completion{
		chunk(choice{Delta: &chatMessage{Role: "assistant"}}),
		chunk(choice{Delta: body}),
		chunk(choice{Delta: &chatMessage{}, Finish: &finish}),
	}
	if tokens != nil {
		last := chunk()
		last.Usage = tokens
		all = append(all, last)
	}
	return all
}

func writeStream(w http.ResponseWriter, events []completion) error {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	for _, event := range events {
		text, err := json.Marshal(event)
		if err != nil {
			return fmt.Errorf("encoding an event: %w", err)
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", text); err != nil {
			return fmt.Errorf("writing an event: %w", err)
		}
	}
	_, err := fmt.Fprint(w, "data: [DONE]\n\n")
	return err
}

// writeJSON answers with a body; a client that went away is its own business.
func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client has gone: nobody is left to tell
}

// writeError answers in the error form of the OpenAI wire format.
func writeError(w http.ResponseWriter, status int, code, text string) {
	kind := "invalid_request_error"
	if status >= http.StatusInternalServerError {
		kind = "server_error"
	}
	writeJSON(w, status, map[string]any{"error": map[string]any{"message": text, "type": kind, "param": nil, "code": code}})
}
