package lint

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// mark is a comment that declares findings intended:
//
//	# fleetman:ignore RULE because REASON
//
// On a line of its own it covers the field, the item or the whole object that
// begins on the next line; after a field it covers that field.
type mark struct {
	place
	rules       []string
	reason      string
	first, last int
	// wrong is what is wrong with the comment, "" for nothing.
	wrong string
}

var (
	markForm   = regexp.MustCompile(`^(.*?)#\s*fleetman:ignore\b(.*)$`)
	codeForm   = regexp.MustCompile(`^IST\d{4}$`)
	reasonForm = regexp.MustCompile(`^\s+([\w-]+(?:\s*,\s*[\w-]+)*)\s+because\s+(\S.*)$`)
)

// marks returns all marks of all files.
func (s *sources) marks() []mark {
	var found []mark
	for _, f := range s.files {
		for i, line := range f.lines {
			match := markForm.FindStringSubmatch(line)
			if match == nil {
				continue
			}
			m := mark{place: place{f.path, i + 1}}
			if parts := reasonForm.FindStringSubmatch(match[2]); parts != nil {
				m.rules, m.reason = words(parts[1]), strings.TrimSpace(parts[2])
			}
			m.wrong = m.check(strings.TrimSpace(match[2]))
			m.first, m.last = f.covered(i+1, strings.TrimSpace(match[1]) == "")
			found = append(found, m)
		}
	}
	return found
}

func (m mark) check(text string) string {
	if m.reason == "" {
		return "fleetman:ignore " + text + ": must be RULE because REASON, such as 7 because the callers do not retry"
	}
	for _, name := range m.rules {
		if RuleOf(name) == nil && !codeForm.MatchString(name) {
			return "fleetman:ignore " + name + ": must be the number or the name of a rule, or a code of istioctl analyze"
		}
	}
	return ""
}

// intended returns the reason of the last mark that declares a finding intended; "" if none does.
func intended(marks []mark, f Finding) (reason string) {
	for _, mark := range marks {
		if mark.covers(f) {
			reason = mark.reason
		}
	}
	return reason
}

// covers reports whether a mark declares a finding intended, by the rule's number or code, and its line.
func (m mark) covers(f Finding) bool {
	return m.wrong == "" && m.file == f.File && m.first <= f.Line && f.Line <= m.last &&
		slices.ContainsFunc(m.rules, func(name string) bool {
			named := RuleOf(name)
			return name == f.Rule || named != nil && strconv.Itoa(named.Number) == f.Rule
		})
}

// covered returns the lines that a mark covers.
func (f *file) covered(line int, alone bool) (first, last int) {
	first = line
	if alone {
		for first = line + 1; first < len(f.lines) && isBlank(f.lines[first-1]); first++ {
		}
	}
	last = first
	for _, d := range f.documents {
		if alone && d.span[0] == first {
			last = max(last, d.span[1])
		}
		if end := spanAt(d.root, first-d.offset); end > 0 {
			last = max(last, end+d.offset)
		}
	}
	return first, last
}

func isBlank(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || strings.HasPrefix(line, "#")
}

// spanAt returns the last line of the outermost field or item that begins on a
// line; 0 if there is none.
func spanAt(node *yaml.Node, line int) (last int) {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, content := node.Content[i], node.Content[i+1]
			if key.Line == line {
				last = max(last, key.Line, lastLine(content))
			} else if content.Kind != yaml.AliasNode {
				last = max(last, spanAt(content, line))
			}
		}
	case yaml.SequenceNode:
		for _, item := range node.Content {
			if item.Line == line {
				last = max(last, lastLine(item))
			} else {
				last = max(last, spanAt(item, line))
			}
		}
	default:
	}
	return last
}
