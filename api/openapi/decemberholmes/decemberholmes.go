// Package decemberholmes is the client that ogen makes of HolmesGPT-API's contract of December 2025. Nothing but tests use it:
// a client that was generated from the published contract keeps working.
package decemberholmes

//go:generate go run github.com/ogen-go/ogen/cmd/ogen --config ogen.yml --target . --package decemberholmes holmesgpt.yaml
