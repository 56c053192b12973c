package httpapi

import (
	"net/http"
	"strings"
	"testing"
)

const onePath = "/api/v1/workflows/a075949c-3e59-5585-aecb-59fa16dad7e7"

// W4: every member that a workflow has and a change may not, is refused by name.
func TestImmutableMembers(t *testing.T) {
	f := newFixture(t)
	for name := range contract()["RemediationWorkflow"].Properties {
		switch name {
		case "status", "disabled_by", "disabled_reason":
			continue
		}
		p := problemOf(t, f.do("PATCH", onePath, `{"status":"active","`+name+`":null}`), http.StatusBadRequest)
		if p.Type != "https://kubernaut.ai/problems/immutable-field-violation" || p.FieldErrors[name] != "create a new version instead" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	p := problemOf(t, f.do("PATCH", onePath, `{"content":"x","labels":{},"unheard_of":1}`), http.StatusBadRequest)
	if len(p.FieldErrors) != 2 {
		t.Errorf("%+v", p.FieldErrors)
	}
	if w := f.do("PATCH", onePath, `{"unheard_of":1}`); w.Code != http.StatusOK {
		t.Errorf("a name unknown to the contract: %d %s", w.Code, w.Body)
	}
}

func TestChangeOfState(t *testing.T) {
	f := newFixture(t)
	strict := newFixture(t, func(o *Options) { o.RequireIfMatch = true })
	for name, c := range map[string]struct {
		f            *fixture
		method, path string
		body         string
		headers      []string
		status       int
	}{
		"empty":                 {f, "PATCH", "", `{}`, nil, 200},
		"disable":               {f, "PATCH", "", `{"status":"disabled","disabled_by":"me"}`, nil, 200},
		"by without disabled":   {f, "PATCH", "", `{"disabled_by":"me"}`, nil, 400},
		"unknown status":        {f, "PATCH", "", `{"status":"off"}`, nil, 400},
		"null status":           {f, "PATCH", "", `{"status":null}`, nil, 400},
		"too long":              {f, "PATCH", "", `{"disabled_by":"` + strings.Repeat("x", 256) + `"}`, nil, 400},
		"no body":               {f, "PATCH", "", ``, nil, 400},
		"no object":             {f, "PATCH", "", `[]`, nil, 400},
		"text":                  {f, "PATCH", "", `{}`, []string{"Content-Type", "text/plain"}, 415},
		"row":                   {f, "PATCH", "", `{}`, []string{"If-Match", `"1"`}, 200},
		"another row":           {f, "PATCH", "", `{}`, []string{"If-Match", `"2"`}, 412},
		"no tag":                {f, "PATCH", "", `{}`, []string{"If-Match", `1`}, 412},
		"weak tag":              {f, "PATCH", "", `{}`, []string{"If-Match", `W/"1"`}, 412},
		"any tag":               {f, "PATCH", "", `{}`, []string{"If-Match", `*`}, 412},
		"required":              {strict, "PATCH", "", `{}`, nil, 428},
		"required and there":    {strict, "PATCH", "", `{}`, []string{"If-Match", `"1"`}, 200},
		"/disable without body": {f, "PATCH", "/disable", ``, nil, 200},
		"/disable":              {f, "PATCH", "/disable", `{"reason":"x","updated_by":"me"}`, nil, 200},
		"/disable, a number":    {f, "PATCH", "/disable", `{"reason":1}`, nil, 400},
		"/disable, required":    {strict, "PATCH", "/disable", `{}`, nil, 428},
		"/disable by POST":      {f, "POST", "/disable", `{}`, nil, 405},
	} {
		w := c.f.do(c.method, onePath+c.path, c.body, c.headers...)
		if c.status >= 400 {
			problemOf(t, w, c.status)
		} else if w.Code != c.status || w.Header().Get("ETag") != `"1"` {
			t.Errorf("%s: %d %v %s", name, w.Code, w.Header(), w.Body)
		}
	}
	problemOf(t, f.do("PATCH", "/api/v1/workflows/not-a-uuid", `{}`), 400)
	problemOf(t, f.do("GET", "/api/v1/workflows/by-name/%00/versions", ""), 400)
	if w := f.do("GET", "/api/v1/workflows/by-name/a%2Fb%22/versions", ""); w.Code != 200 || w.Body.String() != `{"workflow_name":"a/b\"","versions":[],"total":0}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
