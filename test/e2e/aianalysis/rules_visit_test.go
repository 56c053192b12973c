//go:build !e2e

package aianalysis_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// rules looks at one file.
type rules struct {
	set      *token.FileSet
	file     string
	breaches []string
	specs    int
	chained  []*ast.CallExpr // waits that a Should was found for
}

var (
	containers = []string{"Describe", "Context", "When", "DescribeTable"}
	leaves     = []string{"It", "Specify", "BeforeEach", "JustBeforeEach", "AfterEach", "JustAfterEach", "BeforeAll", "AfterAll",
		"BeforeSuite", "AfterSuite", "SynchronizedBeforeSuite", "SynchronizedAfterSuite", "ReportAfterEach", "ReportBeforeEach", "DeferCleanup", "Entry"}
	forbidden = []string{"Skip", "Pending", "FlakeAttempts", "MustPassRepeatedly", "Focus"}
	delays    = []string{"Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
)

const maxSpecLines = 60

func (r *rules) breach(at ast.Node, rule, why string, args ...any) {
	r.breaches = append(r.breaches, fmt.Sprintf("%s: %s: %s", r.set.Position(at.Pos()), rule, fmt.Sprintf(why, args...)))
}

// packageVariables allows blank ones, and in suite_test.go those that hold flags and clients.
func (r *rules) packageVariables(file *ast.File) {
	for _, decl := range file.Decls {
		general, ok := decl.(*ast.GenDecl)
		if !ok || general.Tok != token.VAR || r.file == "suite_test.go" {
			continue
		}
		for _, spec := range general.Specs {
			for _, name := range spec.(*ast.ValueSpec).Names {
				if name.Name != "_" {
					r.breach(name, "RULE-08", "package variable %s", name.Name)
				}
			}
		}
	}
}

func (r *rules) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.Ident:
		r.identifier(n)
	case *ast.SelectorExpr:
		r.selector(n)
	case *ast.CallExpr:
		r.call(n)
	}
	return true
}

// identifier catches decorators and nodes by name, called or not.
func (r *rules) identifier(id *ast.Ident) {
	if slices.Contains(forbidden, id.Name) {
		r.breach(id, "RULE-04", "%s", id.Name)
	}
	for _, node := range slices.Concat(containers, []string{"It", "Specify", "Entry"}) {
		if slices.Contains([]string{"F" + node, "P" + node, "X" + node}, id.Name) {
			r.breach(id, "RULE-04", "%s", id.Name)
		}
	}
	if id.Name == "Ordered" && !slices.Contains(disruptiveFiles, r.file) {
		r.breach(id, "RULE-07", "Ordered outside the disruptive files")
	}
}

func (r *rules) selector(s *ast.SelectorExpr) {
	pkg, ok := s.X.(*ast.Ident)
	if !ok {
		return
	}
	switch {
	case pkg.Name == "context" && (s.Sel.Name == "Background" || s.Sel.Name == "TODO"):
		r.breach(s, "RULE-01", "context.%s", s.Sel.Name)
	case pkg.Name == "time" && slices.Contains(delays, s.Sel.Name):
		r.breach(s, "RULE-03", "time.%s", s.Sel.Name)
	}
}

func (r *rules) call(c *ast.CallExpr) {
	switch name := called(c); {
	case name == "Should" || name == "ShouldNot":
		r.wait(c)
	case name == "Eventually" || name == "Consistently":
		if !slices.Contains(r.chained, c) {
			r.breach(c, "RULE-02", "%s without Should", name)
		}
	case slices.Contains(containers, name):
		r.container(c)
	case slices.Contains(leaves, name):
		r.leaf(c, name)
	}
}

// called is the last name of what is called.
func called(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// wait goes down the chain of a Should to its Eventually.
func (r *rules) wait(should *ast.CallExpr) {
	links := map[string]*ast.CallExpr{}
	var root *ast.CallExpr
	for at := should; at != nil; {
		links[called(at)] = at
		selector, ok := at.Fun.(*ast.SelectorExpr)
		if !ok {
			root = at
			break
		}
		at, _ = selector.X.(*ast.CallExpr)
	}
	if root == nil || called(root) != "Eventually" && called(root) != "Consistently" {
		return
	}
	r.chained = append(r.chained, root)
	kind := called(root)
	if len(root.Args) == 0 || !isIdent(root.Args[0], "ctx") {
		r.breach(root, "RULE-02", "%s without ctx", kind)
	}
	for _, link := range []string{"WithTimeout", "WithPolling"} {
		if links[link] == nil {
			r.breach(root, "RULE-02", "%s without %s", kind, link)
		}
	}
	if len(should.Args) < 2 || !isString(should.Args[1]) {
		r.breach(root, "RULE-02", "%s without a message", kind)
	}
	if kind == "Consistently" && !shortStill(links["WithTimeout"]) {
		r.breach(root, "RULE-03", "Consistently for other than 1 to 3 * time.Second")
	}
}

func isIdent(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

func isString(e ast.Expr) bool {
	lit, ok := e.(*ast.BasicLit)
	return ok && lit.Kind == token.STRING
}

// shortStill is WithTimeout(n * time.Second) with n at most 3.
func shortStill(c *ast.CallExpr) bool {
	if c == nil || len(c.Args) != 1 {
		return false
	}
	product, ok := c.Args[0].(*ast.BinaryExpr)
	if !ok || product.Op != token.MUL {
		return false
	}
	n, ok := product.X.(*ast.BasicLit)
	unit, isSelector := product.Y.(*ast.SelectorExpr)
	if !ok || !isSelector || unit.Sel.Name != "Second" {
		return false
	}
	seconds, err := strconv.Atoi(n.Value)
	return err == nil && seconds <= 3
}

// container allows nothing in a container but nodes: what is declared there is shared by its specs.
func (r *rules) container(c *ast.CallExpr) {
	body := closure(c)
	if body == nil {
		return
	}
	for _, statement := range body.Body.List {
		switch s := statement.(type) {
		case *ast.ExprStmt:
		case *ast.DeclStmt:
			if s.Decl.(*ast.GenDecl).Tok == token.VAR {
				r.breach(s, "RULE-08", "variable of a container, shared by its specs")
			}
		default:
			r.breach(s, "RULE-08", "statement of a container, shared by its specs")
		}
	}
}

// leaf looks at the closures that run.
func (r *rules) leaf(c *ast.CallExpr, name string) {
	for _, arg := range c.Args {
		body, ok := arg.(*ast.FuncLit)
		if !ok {
			continue
		}
		if !takesContext(body, name) {
			r.breach(body, "RULE-01", "%s does not take ctx SpecContext", name)
		}
	}
	if name != "It" && name != "Specify" {
		return
	}
	r.specs++
	if len(c.Args) == 0 || !isString(c.Args[0]) || !strings.HasPrefix(c.Args[0].(*ast.BasicLit).Value, `"[`) {
		r.breach(c, "RULE-13", "the text does not begin with the id in brackets")
	}
	if body := closure(c); body != nil {
		if lines := r.set.Position(body.End()).Line - r.set.Position(body.Pos()).Line + 1; lines > maxSpecLines {
			r.breach(c, "RULE-13", "%d lines, at most %d", lines, maxSpecLines)
		}
	}
}

func closure(c *ast.CallExpr) *ast.FuncLit {
	for _, arg := range c.Args {
		if body, ok := arg.(*ast.FuncLit); ok {
			return body
		}
	}
	return nil
}

// takesContext wants ctx by that name where it is used; a node that needs none may drop the name, a spec may not.
func takesContext(f *ast.FuncLit, node string) bool {
	if len(f.Type.Params.List) == 0 || !isIdent(f.Type.Params.List[0].Type, "SpecContext") {
		return false
	}
	names := f.Type.Params.List[0].Names
	if node == "It" || node == "Specify" {
		return len(names) == 1 && names[0].Name == "ctx"
	}
	return true
}
