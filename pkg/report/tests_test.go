package report_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubernaut-ai/kubernaut/pkg/report"
)

func TestReadGoTest(t *testing.T) {
	for name, c := range map[string]struct {
		events string
		passed int
		failed string
		output string
	}{
		"pass": {`{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"ok  \tp\n"}
{"Action":"pass","Package":"p"}`, 1, "", "ok"},
		"fail": {`{"Action":"output","Package":"p","Test":"TestA","Output":"a_test.go:3: no\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"fail","Package":"p"}`, 1, "p.TestA", "a_test.go:3: no"},
		"does not build": {`{"ImportPath":"p","Action":"build-output","Output":"x.go:1: undefined: y\n"}
{"ImportPath":"p","Action":"build-fail"}`, 0, "p", "undefined: y"},
		"dies without a test": {`{"Action":"output","Package":"p","Output":"panic: boom\n"}
{"Action":"fail","Package":"p"}`, 0, "p", "panic: boom"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := report.ReadGoTest(strings.NewReader(c.events))
			if err != nil {
				t.Fatal(err)
			}
			if got.Passed != c.passed || strings.Join(got.Failed, " ") != c.failed || !strings.Contains(got.Output, c.output) {
				t.Errorf("%+v", got)
			}
			if c.failed != "" && !strings.Contains(got.FailedOutput, c.output) {
				t.Errorf("the failure's output lacks %q: %q", c.output, got.FailedOutput)
			}
		})
	}
	if _, err := report.ReadGoTest(strings.NewReader("no json")); err == nil {
		t.Error("what is no event stream is no error")
	}
}

func TestReadJUnit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "junit.xml")
	if err := os.WriteFile(path, []byte(`<testsuites><testsuite tests="5" failures="1" errors="1" skipped="1"/></testsuites>`), 0o600); err != nil {
		t.Fatal(err)
	}
	passed, failed, err := report.ReadJUnit(path)
	if err != nil || passed != 2 || failed != 2 {
		t.Errorf("%d passed, %d failed, %v", passed, failed, err)
	}
}
