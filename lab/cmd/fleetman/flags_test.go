package main

import (
	"io"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	command  = regexp.MustCompile("(?:^|\n)\\s*(?:\\$ )?(fleetman .+)|`(fleetman [^`\n]+)`")
	flagWord = regexp.MustCompile(`^(?:--([a-z][a-z-]*)|-([a-z]))(?:=|$)`)
	rest     = regexp.MustCompile(`[#|&;].*`) // of a line after a command
)

// TestDocumentedFlags: commands have the flags with which READMEs, docs and help write them.
func TestDocumentedFlags(t *testing.T) {
	root := newCommand(nil, io.Discard, io.Discard)
	files, err := exec.Command("git", "-C", "../../..", "ls-files", "*.md").Output()
	require.NoError(t, err)
	texts := map[string]string{}
	for file := range strings.FieldsSeq(string(files)) {
		texts[file] = read(t, "../../../"+file)
	}
	each(root, func(cmd *cobra.Command) { texts[cmd.CommandPath()+" --help"] = cmd.Example })
	seen := 0
	for file, text := range texts {
		for _, match := range command.FindAllStringSubmatch(text, -1) {
			words := shellSplit(rest.ReplaceAllString(match[1]+match[2], ""))
			cmd, args, err := root.Find(words[1:])
			if err != nil {
				continue // a sentence
			}
			for _, word := range args {
				if flag := flagWord.FindStringSubmatch(word); flag != nil {
					seen++
					assert.True(t, hasFlag(cmd, flag[1], flag[2]), "%s: %s: %s has no %s", file, match[0], cmd.CommandPath(), word)
				}
			}
		}
	}
	assert.Greater(t, seen, 100, "flags")
}

func hasFlag(cmd *cobra.Command, name, shorthand string) bool {
	cmd.InitDefaultHelpFlag()
	if name == "" {
		return cmd.Flags().ShorthandLookup(shorthand) != nil
	}
	return cmd.Flags().Lookup(name) != nil || cmd.InheritedFlags().Lookup(name) != nil
}

// TestCompareAndReportShare: compare ends with a report, and has the flags of how it is printed.
func TestCompareAndReportShare(t *testing.T) {
	where := inRoot(t)
	for _, name := range []string{"output", "json", "csv", "markdown", "all", "junit"} {
		want, got := reportCommand(where).Flags().Lookup(name), compareCommand(where).Flags().Lookup(name)
		require.NotNil(t, want, name)
		require.NotNil(t, got, name)
		assert.Equal(t, want.Usage, got.Usage, name)
		assert.Equal(t, want.Shorthand, got.Shorthand, name)
	}
	expect(t, exitUsage, "", "fleetman: --output xml: must be one of table, json, csv, markdown; see fleetman compare --help\n", "compare", "quick", "-o", "xml")
}
