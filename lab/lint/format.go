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

// fields are those of a JSON object.
type fields = map[string]any

// toSARIF returns findings as a log of static analysis in SARIF 2.1.0, with all rules.
func toSARIF(found []Finding) fields {
	var descriptors []fields
	for _, r := range rules {
		one := fields{"id": strconv.Itoa(r.Number), "name": r.Name, "shortDescription": fields{"text": r.Finds}, "fullDescription": fields{"text": r.Reason}}
		if strings.HasPrefix(r.Source, "https://") {
			one["helpUri"] = r.Source
		}
		descriptors = append(descriptors, one)
	}
	results := []fields{}
	for _, f := range found {
		one := fields{"ruleId": f.Rule, "level": f.Severity, "message": fields{"text": f.text()}, "locations": []fields{{"physicalLocation": fields{
			"artifactLocation": fields{"uri": (&url.URL{Path: filepath.ToSlash(f.File)}).String()},
			"region":           fields{"startLine": max(f.Line, 1)},
		}}}}
		if f.Ignored != "" {
			one["suppressions"] = []fields{{"kind": "inSource", "justification": f.Ignored}}
		}
		results = append(results, one)
	}
	return fields{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
		"runs": []fields{{"tool": fields{"driver": fields{"name": "fleetman lint", "rules": descriptors}}, "results": results}},
	}
}
