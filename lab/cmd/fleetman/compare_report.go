package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"fleetman.example/lab/compare"
	"fleetman.example/lab/record"
	"fleetman.example/lab/report"
)

func reportCommand() *cobra.Command {
	var asJSON, asMarkdown bool
	var readme string
	cmd := &cobra.Command{
		Use:   "report DIR...",
		Short: "Compute a comparison's table again from its records, or that of several together",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("%s: the DIR of a comparison, or several, are expected", cmd.CommandPath())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case asJSON && asMarkdown, (asJSON || asMarkdown) && readme != "":
				return usageError{errors.New("fleetman report: one of --json, --markdown and --readme is expected")}
			case readme != "":
				return intoReadme(args, readme)
			case asJSON:
				return show(args, "json", cmd.OutOrStdout())
			case asMarkdown:
				return show(args, "markdown", cmd.OutOrStdout())
			}
			return show(args, "text", cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON, with every run, timeline and curve")
	cmd.Flags().BoolVar(&asMarkdown, "markdown", false, "as one table in Markdown")
	cmd.Flags().StringVar(&readme, "readme", "", "put that table into this file, between its marks <!-- compare --> and <!-- /compare -->")
	return cmd
}

// show reads the records of comparisons and writes what they mean.
func show(dirs []string, format string, w io.Writer) error {
	var all []*record.Cell
	seen := map[record.Key]string{}
	for _, dir := range dirs {
		cells, err := readRecords(dir)
		if err != nil {
			return err
		}
		for _, c := range cells {
			if other, twice := seen[c.Key]; twice {
				return fmt.Errorf("records: %s, %s, seed %d is in %s and in %s", c.Arm, c.Fault, c.Seed, other, dir)
			}
			seen[c.Key] = dir
		}
		all = append(all, cells...)
	}
	computed := report.Compute(all)
	switch format {
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(computed)
	case "markdown":
		report.Markdown(w, computed)
	default:
		report.Text(w, computed)
	}
	return nil
}

func readRecords(dir string) ([]*record.Cell, error) {
	file, err := os.Open(filepath.Join(dir, compare.RecordsFile))
	if err != nil {
		return nil, fmt.Errorf("records: %w; the directory of a comparison is expected", err)
	}
	defer file.Close()
	return record.Read(file, file.Name())
}

// intoReadme replaces what stands between a file's marks.
func intoReadme(dirs []string, path string) error {
	const begin, end = "<!-- compare -->\n", "<!-- /compare -->"
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("--readme: %w", err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("--readme %s: the marks %s and %s are expected", path, strings.TrimSpace(begin), end)
	}
	var table bytes.Buffer
	if err := show(dirs, "markdown", &table); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(before+begin+table.String()+end+after), 0o644); err != nil {
		return fmt.Errorf("--readme: %w", err)
	}
	return nil
}
