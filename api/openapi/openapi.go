// Package openapi holds the REST contracts of kubernaut's services. Each adapter is tested against its file here.
package openapi

import "embed"

//go:generate go run github.com/ogen-go/ogen/cmd/ogen --config ogen.datastorage.yml --target datastorage --package datastorage --clean datastorage.yaml
//go:generate go run github.com/ogen-go/ogen/cmd/ogen --config ogen.holmesgpt.yml --target holmesgpt --package holmesgpt --clean holmesgpt.yaml

// Files are the contracts, one YAML file a service.
//
//go:embed *.yaml
var Files embed.FS
