package check

import (
	"encoding/xml"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"fleetman.example/lab/junit"
	"fleetman.example/lab/usage"
)

// WriteLine writes a result in one line, followed by a line for each failure.
func WriteLine(w io.Writer, r Result) error {
	var text strings.Builder
	verdict := "ok  "
	if !r.OK() {
		verdict = "FAIL"
	}
	fmt.Fprintf(&text, "%s %s: %s (%s%.0f s)\n", verdict, r.Scenario, r.Promise, controlNote(r), r.Seconds)
	for _, line := range r.failures() {
		fmt.Fprintf(&text, "       %s\n", line)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func controlNote(r Result) string {
	if r.Control != nil && r.Control.Broken {
		return "broken " + r.Control.Change + ", "
	}
	return ""
}

// failures returns why a result is not OK, one reason a line, and how to reproduce it.
func (r Result) failures() []string {
	var lines []string
	if r.Error != "" {
		lines = append(lines, r.Error)
	}
	for _, check := range r.Checks {
		for _, finding := range check.Findings {
			if !finding.Holds {
				lines = append(lines, fmt.Sprintf("%s: %s", check.Requests, finding))
			}
		}
	}
	if control := r.Control; control != nil {
		switch {
		case control.Error != "":
			lines = append(lines, fmt.Sprintf("run the control, %s: %s", control.Change, control.Error))
		case !control.Broken:
			for _, check := range control.Checks {
				if !check.provesNothing() {
					continue
				}
				lines = append(lines, fmt.Sprintf("%s: holds %s, too, so it proves nothing", check.Requests, control.Change))
				for _, finding := range check.Findings {
					lines = append(lines, fmt.Sprintf("with the control: %s", finding))
				}
			}
		}
	}
	if len(lines) > 0 {
		lines = append(lines, fmt.Sprintf("to reproduce: --seed %d --run %s", r.Seed, usage.ShellWord("^"+regexp.QuoteMeta(r.Scenario)+": "+regexp.QuoteMeta(r.Promise)+"$")))
	}
	return lines
}

// Summary is the results, and whether all of them are good.
type Summary struct {
	OK      bool     `json:"ok"`
	Results []Result `json:"results"`
}

// Report returns the summary of results.
func Report(results []Result) Summary {
	return Summary{!slices.ContainsFunc(results, func(r Result) bool { return !r.OK() }), results}
}

// seen returns the expectations and observations of checks, one a line.
func seen(where string, checks []CheckResult) (text string) {
	for _, check := range checks {
		for _, finding := range check.Findings {
			text += fmt.Sprintf("%s%s: %s\n", where, check.Requests, finding)
		}
	}
	return text
}

// WriteJUnit writes the results as JUnit XML, with a test suite for each scenario and a test case for each
// promise.
func WriteJUnit(w io.Writer, results []Result) error {
	var suites struct {
		XMLName xml.Name       `xml:"testsuites"`
		Suites  []*junit.Suite `xml:"testsuite"`
	}
	times := map[*junit.Suite]float64{}
	var suite *junit.Suite
	for _, r := range results {
		if suite == nil || suite.Name != r.Scenario {
			suite = &junit.Suite{Name: r.Scenario}
			suites.Suites = append(suites.Suites, suite)
		}
		test := junit.Case{Class: r.Scenario, Name: r.Promise, Time: fmt.Sprintf("%.3f", r.Seconds)}
		if lines := r.failures(); !r.OK() && len(lines) > 0 {
			text := &junit.Problem{Message: lines[0], Text: strings.Join(lines, "\n")}
			if r.Error != "" || (r.Control != nil && r.Control.Error != "") {
				test.Error = text
			} else {
				test.Failure = text
			}
		}
		test.Output = fmt.Sprintf("seed %d\n", r.Seed) + seen("", r.Checks)
		if r.Control != nil {
			test.Output += seen("the control, "+r.Control.Change+": ", r.Control.Checks)
		}
		suite.Add(test)
		times[suite] += r.Seconds
		suite.Time = fmt.Sprintf("%.3f", times[suite])
	}
	return junit.Write(w, suites)
}
