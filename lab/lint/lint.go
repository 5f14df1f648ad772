package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"fleetman.example/lab/manifest"
)

// Manifests are objects, and the files that they come from.
type Manifests struct {
	Objects *manifest.Objects
	sources *sources
}

// Load reads kustomize directories, directories of plain files, and files.
func Load(paths ...string) (*Manifests, error) {
	objects, err := manifest.Load(paths...)
	if err != nil {
		return nil, err
	}
	if len(objects.All)+len(objects.LeftOut) == 0 {
		return nil, fmt.Errorf("%s: no object: must have one at least", strings.Join(paths, ", "))
	}
	return &Manifests{Objects: objects, sources: readSources(paths...)}, nil
}

// Check returns what all rules find, and bad marks, by file and line. Findings
// that a mark declares intended have its reason in Ignored.
func (m *Manifests) Check(o Options) []Finding {
	built := newModel(m.Objects, o.Calls)
	marks := m.sources.marks()
	var found []Finding
	for _, rule := range rules {
		p := &pass{model: built, Options: o.withDefaults(), rule: rule, sources: m.sources}
		rule.check(p)
		for _, s := range p.found {
			s.finding.Ignored = intended(marks, s.finding)
			found = append(found, s.finding)
		}
	}
	for _, mark := range marks {
		if mark.wrong != "" {
			found = append(found, Finding{File: mark.file, Line: mark.line, Rule: "ignore", Name: "bad-mark", Severity: Error, Message: mark.wrong, By: "fleetman"})
		}
	}
	sortFindings(found)
	return found
}

// sortFindings sorts by file and line; findings of one line keep their order.
func sortFindings(found []Finding) {
	slices.SortStableFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
}

// Failed reports whether there is an error among the findings that is not
// intended.
func Failed(found []Finding) bool {
	return slices.ContainsFunc(found, func(f Finding) bool { return f.Severity == Error && f.Ignored == "" })
}

// Summary counts findings in one line: "2 errors, 1 warning, 3 intended".
func Summary(found []Finding) string {
	errors, warnings, intended := 0, 0, 0
	for _, f := range found {
		switch {
		case f.Ignored != "":
			intended++
		case f.Severity == Error:
			errors++
		default:
			warnings++
		}
	}
	return fmt.Sprintf("%s, %s, %d intended", counted(errors, "error"), counted(warnings, "warning"), intended)
}
