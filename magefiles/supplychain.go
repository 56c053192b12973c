//go:build mage

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// Sbom writes what our images are made of, in CycloneDX, into the folder sbom/ of the run.
func Sbom() error { return reach("sbom", options{}, "sbom") }

// Vulncheck looks for known vulnerabilities in what our Go programs call; the database is asked over the network.
func Vulncheck() error { return reach("vulncheck", options{}, "vulncheck") }

const supplyChain = "tools/supplychain/go.mod"

// vulnerable is what govulncheck ends with when it found something.
const vulnerable = 3

var errCannotLook = errors.New("known vulnerabilities cannot be looked up on this host")

func sbom(ctx context.Context, h *stage.Handle) error {
	modules, err := tool(ctx, supplyChain, "cyclonedx-gomod")
	if err != nil {
		return err
	}
	python, err := current.python()
	if err != nil {
		return err
	}
	folder := filepath.Join(current.dir, "sbom")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var said []string
	for name, args := range map[string][]string{
		"datastorage": {modules, "app", "-json", "-main", "cmd/datastorage"},
		"aianalysis":  {modules, "app", "-json", "-main", "cmd/aianalysis"},
		"holmesgpt-api": {filepath.Join(python, "uv"), "export", "--quiet", "--project", "holmesgpt-api", "--frozen", "--no-dev", "--extra", "holmes",
			"--format", "cyclonedx1.5", "--preview-features", "sbom-export"},
	} {
		text, err := program(ctx, h, nil, args...)
		if err != nil {
			return err
		}
		var bom struct {
			Components []struct{} `json:"components"`
		}
		if err := json.Unmarshal(text, &bom); err != nil || len(bom.Components) == 0 {
			return errors.Join(fmt.Errorf("the bill of materials of %s has no components", name), err)
		}
		if err := os.WriteFile(filepath.Join(folder, name+".cdx.json"), text, 0o600); err != nil {
			return err
		}
		said = append(said, fmt.Sprintf("%s %d components", name, len(bom.Components)))
	}
	slices.Sort(said)
	h.Note("%s", strings.Join(said, ", "))
	return nil
}

func vulnerabilities(ctx context.Context, h *stage.Handle) error {
	check, err := tool(ctx, supplyChain, "govulncheck")
	if err != nil {
		return err
	}
	out, err := program(ctx, h, nil, check, "-tags=mage", "./...")
	var ended *command.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ended) && ended.Code == vulnerable:
		return fmt.Errorf("a known vulnerability is called\n%s", out)
	}
	return fmt.Errorf("%w: %w", errCannotLook, err)
}
