// Command prose checks the project's text for words that its glossary replaces and for broken links. make
// lint runs it.
package main

import (
	"bufio"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// pending are the files whose words are still to be replaced, one a line. Links are checked
// everywhere.
//
//go:embed pending.txt
var pending string

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("prose", flag.ContinueOnError)
	flags.SetOutput(stderr)
	root := flags.String("root", ".", "root of the repository")
	all := flags.Bool("all", false, "check the pending files, too")
	list := flags.Bool("pending", false, "print the names of the files that have findings, for pending.txt")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	later := strings.Fields(pending)
	if *all || *list {
		later = nil
	}
	found, err := check(os.DirFS(*root), later)
	if err != nil {
		fmt.Fprintln(stderr, "prose:", err)
		return 1
	}
	last := ""
	for _, f := range found {
		switch {
		case !*list:
			fmt.Fprintln(stdout, f)
		case f.word && f.file != last:
			fmt.Fprintln(stdout, f.file)
			last = f.file
		}
	}
	if len(found) > 0 && !*list {
		return 1
	}
	return 0
}

// finding is a line that has to be changed.
type finding struct {
	file string
	line int
	text string
	word bool // or a link
}

func (f finding) String() string { return fmt.Sprintf("%s:%d: %s", f.file, f.line, f.text) }

// check returns the findings in all text files of the tree, in the order of their names.
func check(tree fs.FS, pending []string) (found []finding, err error) {
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
		lines, err := scan(tree, name, file, slices.Contains(pending, name))
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

func scan(tree fs.FS, name string, file io.Reader, pending bool) (found []finding, err error) {
	code := false // inside a fenced block of Markdown, whose brackets are no links
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if !pending {
			for _, text := range words(name, line) {
				found = append(found, finding{name, n, text, true})
			}
		}
		if filepath.Ext(name) != ".md" {
			continue
		}
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			code = !code
		}
		if !code {
			for _, target := range broken(tree, name, line) {
				found = append(found, finding{name, n, "link " + target + ": must lead to a file of the repository", false})
			}
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return found, nil // a generated file
	}
	return found, lines.Err()
}
