package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// chatRequest is what of an OpenAI chat completion request the mock reads; keys it does not know are skipped.
type chatRequest struct {
	Model         string    `json:"model"`
	Messages      []message `json:"messages"`
	Stream        bool      `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Tools []struct {
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	} `json:"tools"`
}

type message struct {
	Role       string     `json:"role"`
	Content    content    `json:"content"`
	ToolCallID string     `json:"tool_call_id"`
	ToolCalls  []toolCall `json:"tool_calls"`
}

type toolCall struct {
	Index    *int         `json:"index,omitempty"`
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function functionCall `json:"function"`
}

type functionCall struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// content is a string, null, absent, or a list of parts of which the text ones count.
type content string

func (c *content) UnmarshalJSON(raw []byte) error {
	var text *string
	if err := json.Unmarshal(raw, &text); err == nil {
		if text != nil {
			*c = content(*text)
		}
		return nil
	}
	var parts []struct {
		Text string `json:"text"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return fmt.Errorf("content must be a string or a list of text parts: %w", err)
	}
	var all strings.Builder
	for _, part := range parts {
		all.WriteString(part.Text)
	}
	*c = content(all.String())
	return nil
}

// offersSearch tells whether the catalog tool may be called.
func (r *chatRequest) offersSearch() bool {
	for _, name := range r.tools() {
		if name == SearchTool {
			return true
		}
	}
	return false
}

func (r *chatRequest) tools() []string {
	names := make([]string, 0, len(r.Tools))
	for _, tool := range r.Tools {
		names = append(names, tool.Function.Name)
	}
	return names
}

// userMessage is the first user message: each attempt is a conversation of its own.
func (r *chatRequest) userMessage() string {
	for _, m := range r.Messages {
		if m.Role == "user" {
			return string(m.Content)
		}
	}
	return ""
}

// searchResult is the text of the tool messages that answer the search, paired by id whatever their order.
// hasTool tells whether any tool message is there at all, which makes the request a later turn.
func (r *chatRequest) searchResult() (text string, hasTool bool) {
	searches := map[string]bool{}
	for _, m := range r.Messages {
		for _, call := range m.ToolCalls {
			searches[call.ID] = call.Function.Name == SearchTool
		}
	}
	for _, m := range r.Messages {
		if m.Role != "tool" {
			continue
		}
		hasTool = true
		if searches[m.ToolCallID] {
			text = string(m.Content)
		}
	}
	return text, hasTool
}

// reply is one turn of the model: a text, or a call.
type reply struct {
	Text string
	Call *toolCall
}

func (r reply) finish() string {
	if r.Call != nil {
		return "tool_calls"
	}
	return "stop"
}

// usage counts a token per four bytes, rounded up: steady, and near enough for dashboards.
type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

func countTokens(request *chatRequest, answer reply) usage {
	in := 0
	for _, m := range request.Messages {
		in += len(m.Content)
	}
	out := len(answer.Text)
	if answer.Call != nil {
		out += len(answer.Call.Function.Name) + len(answer.Call.Function.Arguments)
	}
	u := usage{Prompt: (in + 3) / 4, Completion: (out + 3) / 4}
	u.Total = u.Prompt + u.Completion
	return u
}
