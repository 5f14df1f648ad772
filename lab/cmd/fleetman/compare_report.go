package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

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
		Short: "Compute the tables of one or more comparisons from their records",
		Example: `  fleetman report .cache/compare/20260102-150405
  fleetman report --markdown first second`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("%s: no DIR: must be one or more directories of comparisons", cmd.CommandPath())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case asJSON && asMarkdown, (asJSON || asMarkdown) && readme != "":
				return usageError{errors.New("fleetman report: --json, --markdown, --readme: must be one of them")}
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
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON, with every run, timeline and curve")
	cmd.Flags().BoolVar(&asMarkdown, "markdown", false, "write Markdown tables")
	cmd.Flags().StringVar(&readme, "readme", "", "put these tables into a file, between its marks <!-- compare --> and <!-- /compare -->")
	return cmd
}

// show reads the records of comparisons and writes the report.
func show(dirs []string, format string, w io.Writer) error {
	var all []*record.Comparison
	for _, dir := range dirs {
		read, err := readRecords(dir)
		if err != nil {
			return err
		}
		all = append(all, read)
	}
	computed, err := report.Compute(all...)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
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

func readRecords(dir string) (*record.Comparison, error) {
	file, err := os.Open(filepath.Join(dir, compare.RecordsFile))
	if err != nil {
		return nil, fmt.Errorf("records: %w: must be the directory of a comparison", err)
	}
	defer file.Close()
	return record.Read(file, file.Name())
}

// intoReadme replaces what stands between a file's marks.
func intoReadme(dirs []string, path string) error {
	var table bytes.Buffer
	if err := show(dirs, "markdown", &table); err != nil {
		return err
	}
	return replaceBetween(path, "compare", table.String())
}
