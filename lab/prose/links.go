package main

import (
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode"
)

var link = regexp.MustCompile(`\]\(([^()\s]+)\)`)

// broken returns the links of a line whose file or heading is not in the tree.
func broken(tree fs.FS, file, line string) (found []string) {
	for _, match := range link.FindAllStringSubmatch(line, -1) {
		target, err := url.Parse(match[1])
		if err == nil && target.Scheme != "" {
			continue // an external link
		}
		if err != nil || !leads(tree, file, target) {
			found = append(found, match[1])
		}
	}
	return found
}

// leads reports whether the target of a relative link exists.
func leads(tree fs.FS, file string, target *url.URL) bool {
	name := file
	if target.Path != "" {
		name = path.Join(path.Dir(file), target.Path)
	}
	info, err := fs.Stat(tree, name)
	if err != nil || target.Fragment == "" || !strings.HasSuffix(name, ".md") {
		return err == nil && (target.Fragment == "" || !info.IsDir())
	}
	text, err := fs.ReadFile(tree, name)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if heading := strings.TrimLeft(line, "#"); heading != line && anchor(heading) == target.Fragment {
			return true
		}
	}
	return false
}

// anchor returns GitHub's anchor of a heading.
func anchor(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(heading)) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}
