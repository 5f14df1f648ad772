package lint

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
)

// Formats are the names of the formats of Write, the default first.
var Formats = []string{"text", "json", "sarif", "github"}

// Write writes findings in a format. Text and GitHub's leave those out that a
// mark declares intended.
func Write(w io.Writer, format string, found []Finding) error {
	switch format {
	case "json":
		if found == nil {
			found = []Finding{}
		}
		return writeJSON(w, found)
	case "sarif":
		return writeJSON(w, toSARIF(found))
	}
	for _, f := range found {
		if f.Ignored != "" {
			continue
		}
		line := f.String()
		if format == "github" {
			line = f.workflowCommand()
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// String returns a finding as one line: FILE:LINE: RULE: what happens; what to
// write instead.
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s (%s: %s)", f.File, f.Line, f.Rule, f.text(), f.Severity, f.Name)
}

func (f Finding) text() string {
	if f.Instead == "" {
		return f.Message
	}
	return f.Message + "; " + f.Instead
}

// workflowCommand returns a finding as GitHub's runners read it.
func (f Finding) workflowCommand() string {
	inProperty := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	inMessage := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	return fmt.Sprintf("::%s file=%s,line=%d,title=%s::%s", f.Severity, inProperty.Replace(f.File), f.Line,
		inProperty.Replace("fleetman lint "+f.Rule+" "+f.Name), inMessage.Replace(f.text()))
}

// The parts of SARIF 2.1.0 that are written.
type (
	sarif struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool struct {
			Driver sarifDriver `json:"driver"`
		} `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		InformationURI string      `json:"informationUri,omitempty"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifRule struct {
		ID               string    `json:"id"`
		Name             string    `json:"name"`
		ShortDescription sarifText `json:"shortDescription"`
		FullDescription  sarifText `json:"fullDescription"`
		HelpURI          string    `json:"helpUri,omitempty"`
	}
	sarifResult struct {
		RuleID       string             `json:"ruleId"`
		Level        Severity           `json:"level"`
		Message      sarifText          `json:"message"`
		Locations    []sarifLocation    `json:"locations"`
		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	}
	sarifLocation struct {
		PhysicalLocation struct {
			ArtifactLocation struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region struct {
				StartLine int `json:"startLine"`
			} `json:"region"`
		} `json:"physicalLocation"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Justification string `json:"justification"`
	}
)

// toSARIF returns findings as a log of static analysis, with all rules.
func toSARIF(found []Finding) sarif {
	run := sarifRun{Results: []sarifResult{}}
	run.Tool.Driver.Name = "fleetman lint"
	for _, r := range rules {
		rule := sarifRule{ID: strconv.Itoa(r.Number), Name: r.Name, ShortDescription: sarifText{r.Finds}, FullDescription: sarifText{r.Reason}}
		if strings.HasPrefix(r.Source, "https://") {
			rule.HelpURI = r.Source
		}
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, rule)
	}
	for _, f := range found {
		result := sarifResult{RuleID: f.Rule, Level: f.Severity, Message: sarifText{f.text()}}
		var at sarifLocation
		at.PhysicalLocation.ArtifactLocation.URI = (&url.URL{Path: filepath.ToSlash(f.File)}).String()
		at.PhysicalLocation.Region.StartLine = max(f.Line, 1)
		result.Locations = []sarifLocation{at}
		if f.Ignored != "" {
			result.Suppressions = []sarifSuppression{{"inSource", f.Ignored}}
		}
		run.Results = append(run.Results, result)
	}
	return sarif{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}}
}
