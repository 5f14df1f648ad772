// Command prose checks the project's text for words that its glossary replaces and for broken links. make
// lint runs it.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("prose", flag.ContinueOnError)
	flags.SetOutput(stderr)
	root := flags.String("root", ".", "root of the repository")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	found, err := check(os.DirFS(*root))
	if err != nil {
		fmt.Fprintln(stderr, "prose:", err)
		return 1
	}
	for _, f := range found {
		fmt.Fprintln(stdout, f)
	}
	if len(found) > 0 {
		return 1
	}
	return 0
}

// finding is a line that has to be changed.
type finding struct {
	file string
	line int
	text string
}

func (f finding) String() string { return fmt.Sprintf("%s:%d: %s", f.file, f.line, f.text) }

// check returns the findings in all text files of the tree, in the order of their names.
func check(tree fs.FS) (found []finding, err error) {
	err = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && skipped(name):
			return fs.SkipDir
		case entry.IsDir() || !isText(name):
			return nil
		}
		file, err := tree.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		lines, err := scan(tree, name, file)
		found = append(found, lines...)
		return err
	})
	return found, err
}

// skipped reports whether a directory is not checked.
func skipped(dir string) bool {
	switch path.Base(dir) {
	case ".git", ".cache", "node_modules", "dist", "bin", "testdata":
		return true
	}
	return dir == "lab/prose"
}

func isText(name string) bool {
	switch filepath.Ext(name) {
	case ".go", ".md", ".yaml", ".yml", ".ts", ".html", ".tmpl", ".env":
		return true
	}
	return path.Base(name) == "Makefile" || path.Base(name) == "Dockerfile"
}

// scan returns the findings in a file.
func scan(tree fs.FS, name string, file io.Reader) (found []finding, err error) {
	code := false // inside a fenced block of Markdown, whose brackets are no links
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		for _, text := range words(name, line) {
			found = append(found, finding{name, n, text})
		}
		if filepath.Ext(name) != ".md" {
			continue
		}
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			code = !code
		}
		if !code {
			for _, target := range brokenLinks(tree, name, line) {
				found = append(found, finding{name, n, "link " + target + ": must lead to a file of the repository"})
			}
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return found, nil // a generated file
	}
	return found, lines.Err()
}
