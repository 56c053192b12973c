package v1alpha1_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

const module = "github.com/kubernaut-ai/kubernaut/"

// page is what people read of the resource.
func page(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("../../docs/spec/aianalysis.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// between is the part of a text from one line on to the next one that begins like end.
func between(t *testing.T, text, begin, end string) string {
	t.Helper()
	_, after, found := strings.Cut(text, "\n"+begin+"\n")
	if !found {
		t.Fatalf("the page has no line %q", begin)
	}
	part, _, _ := strings.Cut(after, "\n"+end)
	return part
}

// row is one of a table of fields: the last names of the paths in its first cell, in their places, and the members told in the second.
type row struct {
	paths   []string
	members map[string]bool
}

var code = regexp.MustCompile("`([^`]+)`")

func rowsOf(table string) (rows []row) {
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 || !strings.Contains(cells[1], "`") {
			continue
		}
		r := row{members: map[string]bool{}}
		for _, m := range code.FindAllStringSubmatch(cells[1], -1) {
			r.paths = append(r.paths, m[1])
		}
		for _, m := range code.FindAllStringSubmatch(cells[2], -1) {
			r.members[m[1]] = true
		}
		rows = append(rows, r)
	}
	return rows
}

// named returns the row of a path. A row may leave out the beginning of its path: `….targetResource`.
func named(rows []row, path string) *row {
	for i := range rows {
		for _, have := range rows[i].paths {
			if tail, short := strings.CutPrefix(have, "…"); have == path || short && strings.HasSuffix(path, tail) {
				return &rows[i]
			}
		}
	}
	return nil
}

// ours returns the struct of this package that a field holds, however deep.
func ours(t reflect.Type) (reflect.Type, bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	text := t.Name() == "Duration" || t.Name() == "Time" // told as text
	return t, t.Kind() == reflect.Struct && strings.HasPrefix(t.PkgPath(), module) && !text
}

// explain fails for each field that the rows do not tell: neither in a row of its own nor in the row of its parent.
func explain(t *testing.T, rows []row, parent string, of reflect.Type) {
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		path := strings.TrimPrefix(parent+"."+name, ".")
		above := named(rows, parent)
		if named(rows, path) == nil && (above == nil || !above.members[name]) {
			t.Errorf("the page does not tell of %s", path)
		}
		if inner, ok := ours(of.Field(i).Type); ok {
			explain(t, rows, path, inner)
		}
	}
}

// reachable tells whether a path leads to a field.
func reachable(of reflect.Type, path []string) bool {
	for i := range of.NumField() {
		if name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ","); name != path[0] {
			continue
		}
		inner, ok := ours(of.Field(i).Type)
		return len(path) == 1 || ok && reachable(inner, path[1:])
	}
	return false
}

// The page tells of every field, and of none that is not there.
func TestPageTellsEveryField(t *testing.T) {
	text := page(t)
	for heading, kind := range map[string]reflect.Type{
		"### spec": reflect.TypeFor[v1alpha1.AIAnalysisSpec](), "### status": reflect.TypeFor[v1alpha1.AIAnalysisStatus](),
	} {
		rows := rowsOf(between(t, text, heading, "##"))
		if len(rows) < 20 {
			t.Errorf("%s: only %d rows", heading, len(rows))
		}
		explain(t, rows, "", kind)
		for _, r := range rows {
			for _, path := range r.paths {
				if !strings.HasPrefix(path, "…") && !reachable(kind, strings.Split(path, ".")) {
					t.Errorf("%s: there is no %s", heading, path)
				}
			}
		}
	}
}

// The page names every phase, reason, sub-reason and condition that the controller writes.
func TestPageNamesEveryValue(t *testing.T) {
	life := between(t, page(t), "## Life", "## ")
	file, err := parser.ParseFile(token.NewFileSet(), "enums.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	values := 0
	for node := range ast.Preorder(file) {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			continue
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		values++
		if !regexp.MustCompile(`\b` + value + `\b`).MatchString(life) {
			t.Errorf("the page does not name %s, %s", spec.Names[0].Name, value)
		}
	}
	if values < 40 {
		t.Errorf("only %d values found", values)
	}
}
