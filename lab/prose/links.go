package main

import (
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode"
)

// link matches a Markdown link; its group is the target.
var link = regexp.MustCompile(`\]\(([^()\s]+)\)`)

// brokenLinks returns the targets of a line's links that do not exist in the tree. file is the file of the line.
func brokenLinks(tree fs.FS, file, line string) (found []string) {
	for _, match := range link.FindAllStringSubmatch(line, -1) {
		target, err := url.Parse(match[1])
		if err == nil && target.Scheme != "" {
			continue // an external link
		}
		if err != nil || !targetExists(tree, file, target) {
			found = append(found, match[1])
		}
	}
	return found
}

// targetExists reports whether the target of a relative link in file exists: a file, a directory, or a heading of a
// Markdown file.
func targetExists(tree fs.FS, file string, target *url.URL) bool {
	name := file
	if target.Path != "" {
		name = path.Join(path.Dir(file), target.Path)
	}
	info, err := fs.Stat(tree, name)
	switch {
	case err != nil:
		return false
	case target.Fragment == "":
		return true
	case info.IsDir():
		return false // a directory has no headings
	case !strings.HasSuffix(name, ".md"):
		return true // the fragment of another file, such as #L10, is not checked
	}
	text, err := fs.ReadFile(tree, name)
	return err == nil && hasHeading(string(text), target.Fragment)
}

// hasHeading reports whether a Markdown text has a heading with the anchor fragment.
func hasHeading(text, fragment string) bool {
	for line := range strings.Lines(text) {
		heading := strings.TrimLeft(line, "#")
		if heading != line && anchor(heading) == fragment {
			return true
		}
	}
	return false
}

// anchor returns the anchor that GitHub gives to a heading.
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
