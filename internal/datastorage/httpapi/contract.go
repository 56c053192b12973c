package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/mail"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"sigs.k8s.io/yaml"

	"github.com/kubernaut-ai/kubernaut/api/openapi"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// The generated decoders stop at the first fault and speak of Go. When one refuses a body, the body is held against the
// same contract once more, here, and every fault gets its fixed text.

// schema is the part of an OpenAPI schema that our contract uses for bodies.
type schema struct {
	Ref                  string             `json:"$ref"`
	Type                 string             `json:"type"`
	Format               string             `json:"format"`
	Nullable             bool               `json:"nullable"`
	Enum                 []string           `json:"enum"`
	MinLength            int                `json:"minLength"`
	MaxLength            *int               `json:"maxLength"`
	Minimum              *float64           `json:"minimum"`
	Maximum              *float64           `json:"maximum"`
	MaxItems             *int               `json:"maxItems"`
	MaxProperties        *int               `json:"maxProperties"`
	Items                *schema            `json:"items"`
	Required             []string           `json:"required"`
	Properties           map[string]*schema `json:"properties"`
	AdditionalProperties json.RawMessage    `json:"additionalProperties"`
}

type document struct {
	Info struct {
		Version string `json:"version"`
	} `json:"info"`
	// Paths hold the operations by path and method.
	Paths map[string]map[string]struct {
		OperationID string                     `json:"operationId"`
		Responses   map[string]json.RawMessage `json:"responses"`
	} `json:"paths"`
	Components struct {
		Schemas map[string]*schema `json:"schemas"`
	} `json:"components"`
}

// served is the contract, read once.
var served = sync.OnceValue(func() (d document) {
	raw, err := openapi.Files.ReadFile("datastorage.yaml")
	if err == nil {
		err = yaml.Unmarshal(raw, &d)
	}
	if err != nil {
		panic(err) // embedded
	}
	return d
})

func contract() map[string]*schema { return served().Components.Schemas }

// ContractVersion is the version that the served contract says of itself.
func ContractVersion() string { return served().Info.Version }

// checkBody tells everything in which a body breaks a named schema of the contract.
func checkBody(name string, body []byte) datastorage.FieldErrors {
	errs := checkJSON(body)
	if len(errs) == 0 {
		check("", contract()[name], body, &errs)
	}
	return errs
}

func checkJSON(body []byte) (errs datastorage.FieldErrors) {
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		errs.Add("body", "is required")
	case !json.Valid(body):
		errs.Add("body", "must be one valid JSON value")
	}
	return errs
}

// check adds what is wrong with one value. The empty path is the whole body.
func check(path string, s *schema, raw json.RawMessage, errs *datastorage.FieldErrors) {
	s = resolve(s)
	raw = bytes.TrimSpace(raw)
	report := func(text string) {
		if path == "" {
			path = "body"
		}
		errs.Add(path, text)
	}
	if string(raw) == "null" && (s.Nullable || s.Type == "") {
		return
	}
	switch s.Type {
	case "object":
		checkObject(path, s, raw, report, errs)
	case "array":
		checkArray(path, s, raw, report, errs)
	case "string":
		report(checkString(s, raw))
	case "integer", "number":
		report(checkNumber(s, raw))
	case "boolean":
		if text := string(raw); text != "true" && text != "false" {
			report("must be true or false")
		}
	default:
		report(datastorage.CheckText(raw))
	}
}

func resolve(s *schema) *schema {
	for s.Ref != "" {
		s = contract()[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	return s
}

func checkObject(path string, s *schema, raw json.RawMessage, report func(string), errs *datastorage.FieldErrors) {
	members := map[string]json.RawMessage{}
	if raw[0] != '{' || json.Unmarshal(raw, &members) != nil {
		report("must be a JSON object")
		return
	}
	if s.MaxProperties != nil && len(members) > *s.MaxProperties {
		report(fmt.Sprintf("must have at most %d members (got %d)", *s.MaxProperties, len(members)))
	}
	within := func(name string) string {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	for _, name := range s.Required {
		if _, found := members[name]; !found {
			errs.Add(within(name), "is required")
		}
	}
	var additional *schema
	if bytes.HasPrefix(s.AdditionalProperties, []byte("{")) {
		additional = &schema{}
		if err := json.Unmarshal(s.AdditionalProperties, additional); err != nil {
			panic(err) // embedded
		}
	}
	for _, name := range namesOf(members) {
		if property, known := s.Properties[name]; known {
			check(within(name), property, members[name], errs)
		} else if additional != nil {
			check(within(datastorage.Cut(name)), additional, members[name], errs)
		}
	}
}

func namesOf[V any](members map[string]V) []string {
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func checkArray(path string, s *schema, raw json.RawMessage, report func(string), errs *datastorage.FieldErrors) {
	var items []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &items) != nil {
		report("must be a JSON array")
		return
	}
	if s.MaxItems != nil && len(items) > *s.MaxItems {
		report(fmt.Sprintf("must have at most %d items (got %d)", *s.MaxItems, len(items)))
		return
	}
	for i, item := range items {
		check(fmt.Sprintf("%s[%d]", path, i), s.Items, item, errs)
	}
}

func checkString(s *schema, raw json.RawMessage) string {
	var value string
	if raw[0] != '"' || json.Unmarshal(raw, &value) != nil {
		return "must be a string"
	}
	if text := datastorage.CheckText(raw); text != "" {
		return text
	}
	n := utf8.RuneCountInString(value)
	switch {
	case len(s.Enum) > 0 && !slices.Contains(s.Enum, value):
		return "must be one of: " + strings.Join(s.Enum, ", ")
	case n == 0 && s.MinLength > 0:
		return "must not be empty"
	case n < s.MinLength:
		return fmt.Sprintf("must be at least %d characters (got %d)", s.MinLength, n)
	case s.MaxLength != nil && n > *s.MaxLength:
		return fmt.Sprintf("must be at most %d characters (got %d)", *s.MaxLength, n)
	}
	return checkFormat(s.Format, value)
}

func checkFormat(format, value string) string {
	var err error
	text := ""
	switch format {
	case "uuid":
		text = "must be a UUID"
		if len(value) != 36 {
			return text
		}
		_, err = uuid.Parse(value)
	case "date-time":
		text = "must be an RFC 3339 date-time with zone"
		_, err = time.Parse(time.RFC3339, value)
	case "email":
		text = "must be an e-mail address"
		_, err = mail.ParseAddress(value)
	}
	if err != nil {
		return text
	}
	return ""
}

func checkNumber(s *schema, raw json.RawMessage) string {
	value, err := strconv.ParseFloat(string(raw), 64)
	if err == nil && s.Type == "integer" {
		_, err = strconv.ParseInt(string(raw), 10, 64)
	}
	if err != nil {
		return "must be of type " + s.Type
	}
	low, high := s.Minimum != nil && value < *s.Minimum, s.Maximum != nil && value > *s.Maximum
	switch {
	case (low || high) && s.Minimum != nil && s.Maximum != nil:
		return fmt.Sprintf("must be between %s and %s", plain(*s.Minimum), plain(*s.Maximum))
	case low:
		return "must be at least " + plain(*s.Minimum)
	case high:
		return "must be at most " + plain(*s.Maximum)
	}
	return ""
}

func plain(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
