package report

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// GoTest is what `go test -json` told.
type GoTest struct {
	Passed       int      // tests and subtests
	Failed       []string // package.Test, or package alone when it did not build
	Output       string   // as plain `go test` would print, passing tests left out
	FailedOutput string   // of the failed ones alone
}

type goEvent struct {
	Action, Package, Test, Output, ImportPath string
}

// ReadGoTest reads the events of `go test -json`. Lines that are no events, such
// as those of a build that failed, are kept as output.
func ReadGoTest(r io.Reader) (GoTest, error) {
	var result GoTest
	var all strings.Builder
	output := map[string]*strings.Builder{}
	testsFailed := map[string]bool{}
	for decoder := json.NewDecoder(r); ; {
		var e goEvent
		err := decoder.Decode(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return result, fmt.Errorf("reading go test's events: %w", err)
		}
		name := strings.TrimSuffix(e.Package+e.ImportPath+"."+e.Test, ".")
		switch e.Action {
		case "output", "build-output":
			if output[name] == nil {
				output[name] = &strings.Builder{}
			}
			output[name].WriteString(e.Output)
			if e.Test == "" {
				all.WriteString(e.Output)
			}
		case "pass":
			if e.Test != "" {
				result.Passed++
			}
		case "fail", "build-fail":
			if e.Test == "" && testsFailed[e.Package] {
				continue
			}
			testsFailed[e.Package] = true
			result.Failed = append(result.Failed, name)
			if out := output[name]; out != nil {
				result.FailedOutput += out.String()
				if e.Test != "" {
					all.WriteString(out.String())
				}
			}
		}
	}
	result.Output = all.String()
	return result, nil
}

// ReadJUnit counts the cases of a JUnit file.
func ReadJUnit(path string) (passed, failed int, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, fmt.Errorf("reading the tests' report: %w", err)
	}
	var suites struct {
		Suites []struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Errors   int `xml:"errors,attr"`
			Skipped  int `xml:"skipped,attr"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(data, &suites); err != nil {
		return 0, 0, fmt.Errorf("reading the tests' report %s: %w", path, err)
	}
	for _, s := range suites.Suites {
		failed += s.Failures + s.Errors
		passed += s.Tests - s.Failures - s.Errors - s.Skipped
	}
	return passed, failed, nil
}
