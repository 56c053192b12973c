// Package architecture holds the import rules of the house, as one test.
package architecture_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/kubernaut-ai/kubernaut"

// may is the whole rule: a room and what of ours it may import, itself aside.
// A path belongs to the longest room that is a prefix of it, segment by segment.
var may = map[string][]string{
	"":                              {}, // magefile.go
	"api":                           {},
	"pkg/command":                   {},
	"pkg/deploy":                    {},
	"pkg/stage":                     {},
	"pkg/engine":                    {"pkg/command"},
	"pkg/image":                     {"pkg/engine", "pkg/command", "pkg/stage"},
	"pkg/cluster":                   {"pkg/engine", "pkg/command"},
	"pkg/report":                    {"pkg/stage"},
	"pkg/e2e":                       {"pkg"},
	"cmd":                           {"api", "internal"},
	"internal/aianalysis":           {"api"},
	"internal/holmes":               {"internal/aianalysis", "api"},
	"internal/audit":                {"internal/aianalysis", "api"},
	"internal/datastorage":          {},
	"internal/datastorage/postgres": {"internal/datastorage", "api"},
	"internal/datastorage/dlq":      {"internal/datastorage", "api"},
	"internal/datastorage/httpapi":  {"internal/datastorage", "api"},
	"internal/datastorage/tokens":   {"internal/datastorage"},
	"internal/images":               {"pkg"},
	"internal/packages":             {"pkg"},
	"internal/architecture":         {},
	"magefiles":                     {"pkg", "internal/images", "internal/packages"},
	"test/e2e":                      {"api", "pkg/deploy"},
	"test/mockllm":                  {},
}

// never are imports and calls that a room's own files, tests aside, may not hold.
var never = map[string]struct{ imports, calls []string }{
	"pkg":                 {[]string{"testing", "github.com/onsi", "github.com/magefile"}, []string{"os.Getenv", "os.LookupEnv", "os.Exit", "fmt.Print", "fmt.Printf", "fmt.Println"}},
	"magefiles":           {[]string{"os/exec", "sigs.k8s.io/yaml"}, nil},
	"api/v1alpha1":        {[]string{"sigs.k8s.io/controller-runtime", "k8s.io/client-go", "net/http"}, nil},
	"internal/aianalysis": {[]string{"net/http", "database/sql", "github.com/jackc/pgx"}, nil},
}

func TestImports(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); rel != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "vendor" || nested(name)) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		files++
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, wrong := range check(filepath.ToSlash(rel), src) {
			t.Error(wrong)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Errorf("only %d files read: this test looks in the wrong place", files)
	}
}

// nested modules have their own rules.
func nested(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// check names every broken rule of one file, whatever its build tags are.
func check(rel string, src []byte) []string {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, rel, src, parser.SkipObjectResolution)
	if err != nil {
		return []string{fmt.Sprintf("%s: %v", rel, err)}
	}
	pkg := strings.TrimPrefix(path.Dir(rel), ".")
	room, known := roomOf(pkg)
	if !known {
		return []string{fmt.Sprintf("%s: package %s is in no room of the house: put it into one, or add the room to the map in design and here", rel, pkg)}
	}
	test := strings.HasSuffix(rel, "_test.go")
	var wrong []string
	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		if within, ours := strings.CutPrefix(imported, module); ours {
			within = strings.TrimPrefix(within, "/")
			if !allowed(room, pkg, within) {
				wrong = append(wrong, fmt.Sprintf("%s: %s may not import %s", rel, room, within))
			}
		} else if !test && forbidden(pkg, imported) {
			wrong = append(wrong, fmt.Sprintf("%s: %s may not import %s", rel, room, imported))
		}
	}
	if !test {
		wrong = append(wrong, calls(rel, pkg, file)...)
	}
	return wrong
}

func roomOf(pkg string) (string, bool) {
	if pkg == "" {
		return "", true
	}
	for dir := pkg; dir != "." && dir != "/"; dir = path.Dir(dir) {
		if _, ok := may[dir]; ok {
			return dir, true
		}
	}
	return "", false
}

func allowed(room, pkg, imported string) bool {
	target, known := roomOf(imported)
	if !known {
		return false
	}
	if target == room || imported == pkg {
		return true
	}
	return slices.ContainsFunc(may[room], func(a string) bool {
		// A room that is named stands for itself; api, pkg and internal stand for all below them.
		return target == a || (a == "api" || a == "pkg" || a == "internal") && below(target, a)
	})
}

func below(pkg, room string) bool { return pkg == room || strings.HasPrefix(pkg, room+"/") }

func forbidden(pkg, imported string) bool {
	for room, rule := range never {
		if below(pkg, room) && slices.ContainsFunc(rule.imports, func(f string) bool { return below(imported, f) }) {
			return true
		}
	}
	return false
}

func calls(rel, pkg string, file *ast.File) []string {
	var wrong []string
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if id, ok := selector.X.(*ast.Ident); ok {
			name := id.Name + "." + selector.Sel.Name
			for room, rule := range never {
				if below(pkg, room) && slices.Contains(rule.calls, name) {
					wrong = append(wrong, fmt.Sprintf("%s: %s may not call %s", rel, room, name))
				}
			}
		}
		return true
	})
	return wrong
}

// The rules can fail: each planted file breaks one.
func TestCheckFindsPlantedFaults(t *testing.T) {
	for name, c := range map[string]struct {
		file, src string
		wrong     bool
	}{
		"library reads the environment": {"pkg/image/x.go", "package image\nimport \"os\"\nvar x = os.Getenv(\"X\")", true},
		"library prints":                {"pkg/stage/x.go", "package stage\nimport \"fmt\"\nfunc f() { fmt.Println() }", true},
		"library above":                 {"pkg/command/x.go", "package command\nimport _ \"" + module + "/pkg/engine\"", true},
		"suite looks inside":            {"test/e2e/aianalysis/x_test.go", "package x\nimport _ \"" + module + "/internal/audit\"", true},
		"technology to technology":      {"internal/datastorage/httpapi/x.go", "package httpapi\nimport _ \"" + module + "/internal/datastorage/postgres\"", true},
		"domain to technology":          {"internal/datastorage/x.go", "package datastorage\nimport _ \"" + module + "/internal/datastorage/postgres\"", true},
		"controller with HTTP":          {"internal/aianalysis/x.go", "package aianalysis\nimport _ \"net/http\"", true},
		"unknown room":                  {"internal/util/x.go", "package util", true},
		"segment, not prefix":           {"internal/auditor/x.go", "package auditor", true},
		"target with a shell":           {"magefiles/x.go", "package main\nimport _ \"os/exec\"", true},
		"allowed":                       {"internal/datastorage/postgres/x.go", "package postgres\nimport _ \"" + module + "/internal/datastorage\"", false},
		"own external test":             {"internal/images/x_test.go", "package images_test\nimport _ \"" + module + "/internal/images\"", false},
		"wiring":                        {"cmd/datastorage/x.go", "package main\nimport _ \"" + module + "/internal/datastorage/postgres\"", false},
	} {
		t.Run(name, func(t *testing.T) {
			if wrong := check(c.file, []byte(c.src)); (len(wrong) > 0) != c.wrong {
				t.Errorf("found %q, want a fault: %v", wrong, c.wrong)
			}
		})
	}
}
