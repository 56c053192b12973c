// Package december is the client that ogen makes of the contract of December 2025. Nothing but tests use it: a client that
// was generated from the published contract keeps working.
package december

//go:generate go run github.com/ogen-go/ogen/cmd/ogen --config ogen.yml --target . --package december datastorage.yaml
