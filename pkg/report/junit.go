package report

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"strings"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     junitSeconds `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string       `xml:"name,attr"`
	Tests     int          `xml:"tests,attr"`
	Failures  int          `xml:"failures,attr"`
	Errors    int          `xml:"errors,attr"`
	Skipped   int          `xml:"skipped,attr"`
	Time      junitSeconds `xml:"time,attr"`
	Timestamp string       `xml:"timestamp,attr"`
	Cases     []junitCase  `xml:"testcase"`
}

type junitCase struct {
	Class      string           `xml:"classname,attr"`
	Name       string           `xml:"name,attr"`
	Time       junitSeconds     `xml:"time,attr"`
	Properties *junitProperties `xml:"properties"`
	Failure    *junitResult     `xml:"failure"`
	Skipped    *junitResult     `xml:"skipped"`
	Out        string           `xml:"system-out,omitempty"`
}

type junitProperties struct {
	All []junitProperty `xml:"property"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitResult struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

type junitSeconds float64

func (s junitSeconds) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%.3f", float64(s)), nil }

// JUnit is junit.xml: a case for each stage, and one for each spec where a suite ran. A stage that a failure cancelled
// is skipped; one that had nothing to do passed; a flaky spec passed, and a property says that it did not at first.
func (r *Run) JUnit() ([]byte, error) {
	all := junitSuites{Name: r.Command, Time: junitSeconds(r.Ended.Sub(r.Started).Seconds())}
	all.add(r.stageCases())
	if len(r.Specs) > 0 {
		all.add(r.specCases())
	}
	data, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding the JUnit report: %w", err)
	}
	return append([]byte(xml.Header), append(data, '\n')...), nil
}

// add counts a suite's cases.
func (a *junitSuites) add(s junitSuite) {
	s.Tests = len(s.Cases)
	for _, c := range s.Cases {
		if c.Failure != nil {
			s.Failures++
		}
		if c.Skipped != nil {
			s.Skipped++
		}
	}
	a.Tests, a.Failures, a.Skipped = a.Tests+s.Tests, a.Failures+s.Failures, a.Skipped+s.Skipped
	a.Suites = append(a.Suites, s)
}

func (r *Run) stageCases() junitSuite {
	suite := junitSuite{Name: "stages", Time: junitSeconds(r.Ended.Sub(r.Started).Seconds()), Timestamp: r.Started.UTC().Format(time.RFC3339)}
	for _, s := range r.Stages {
		c := junitCase{Class: s.Group, Name: s.Name, Time: junitSeconds(s.Wall().Seconds()), Out: s.Note}
		switch s.State {
		case stage.Failed:
			c.Failure = &junitResult{Message: firstLine(s.Error), Text: s.Error}
			c.Out = strings.TrimSpace(s.Note + "\nlog: " + s.Log)
		case stage.Cancelled:
			c.Skipped = &junitResult{Message: firstLine(s.Error)}
		}
		suite.Cases = append(suite.Cases, c)
	}
	return suite
}

func (r *Run) specCases() junitSuite {
	began := r.Started
	if i := len(r.Specs); i > 0 && !r.Specs[0].Started.IsZero() {
		began = r.Specs[0].Started
	}
	suite := junitSuite{Name: "specs", Timestamp: began.UTC().Format(time.RFC3339)}
	for _, s := range r.Specs {
		c := junitCase{Class: "specs", Name: s.Name(), Time: junitSeconds(s.Seconds)}
		switch s.Outcome {
		case "fail":
			c.Failure = &junitResult{Message: firstLine(s.Failure), Text: s.Failure}
		case "flaky":
			c.Properties = &junitProperties{[]junitProperty{{"outcome", s.Outcome}, {"attempts", fmt.Sprint(s.Attempts)}}}
		}
		suite.Time += c.Time
		suite.Cases = append(suite.Cases, c)
	}
	return suite
}

// Name is the spec as people call it.
func (s Spec) Name() string {
	if s.ID == "" {
		return s.Text
	}
	return strings.TrimSpace("[" + s.ID + "] " + s.Text)
}

// Ended is when the spec's last attempt was over.
func (s Spec) Ended() time.Time {
	return s.Started.Add(span(s.Seconds))
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return cmp.Or(line, "no cause was given")
}
