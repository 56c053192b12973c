package aianalysis

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rowsOfPage are the rows of the table with such a header: first cell without its ticks, and the whole line.
func rowsOfPage(t *testing.T, header string) map[string]string {
	t.Helper()
	content, err := os.ReadFile("../../docs/spec/aianalysis.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(content), "\n"+header+"\n")
	if !found {
		t.Fatalf("the page has no table %s", header)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` .*$").FindAllStringSubmatch(table, -1) {
		rows[m[1]] = m[0]
	}
	return rows
}

// found returns what a pattern captures in the sources of this package, each once.
func found(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(content), -1) {
			all[m[1]] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// The page has a row for each class, which says whether the attempt is repeated.
func TestPageTellsEveryErrorClass(t *testing.T) {
	rows, classes := rowsOfPage(t, "| error class | cause | tried again |"), found(t, `Class\w+ +Class = "(\w+)"`)
	if got := slices.Sorted(maps.Keys(rows)); len(classes) < 13 || !slices.Equal(got, classes) {
		t.Errorf("the page tells of %v, the classes are %v", got, classes)
	}
	for name, line := range rows {
		want := map[bool]string{true: "| yes |", false: "| no |"}[Class(name).Retryable()]
		if !strings.HasSuffix(line, want) {
			t.Errorf("%s, want %s", line, want)
		}
	}
	for status := 400; status < 500; status++ {
		class, _ := ClassOfStatus(status)
		if class != ClassTransient && !strings.Contains(rows[string(class)], fmt.Sprint(status)) {
			t.Errorf("the row of %s does not have %d", class, status)
		}
	}
}

// The page has a row for each Kubernetes Event.
func TestPageTellsEveryEvent(t *testing.T) {
	rows := slices.Sorted(maps.Keys(rowsOfPage(t, "| Kubernetes Event | type | when | message |")))
	reasons := found(t, `(?:announce\(|EventTypeWarning, |reason: )"(\w+)"`)
	if len(reasons) < 6 || !slices.Equal(rows, reasons) {
		t.Errorf("the page tells of %v, the Events are %v", rows, reasons)
	}
}
