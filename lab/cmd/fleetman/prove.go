package main

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fleetman.example/lab/compare"
	"fleetman.example/lab/lint"
	"fleetman.example/lab/record"
	"fleetman.example/lab/report"
)

// proveFinding runs the experiment that shows a rule's finding, and prints what each arm
// showed.
func (f *lintFlags) proveFinding(cmd *cobra.Command, where places, manifests *lint.Manifests, paths []string) error {
	for i, path := range paths {
		absolute, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		paths[i] = absolute
	}
	e, err := manifests.Prove(f.prove, f.options, paths)
	if err != nil {
		return err
	}
	if err := e.Check(report.Figures()); err != nil {
		return fmt.Errorf("the experiment of rule %s: %w", f.prove, err)
	}
	progress := func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
	fmt.Fprintln(cmd.OutOrStdout(), e.Finding)
	out := filepath.Join(where.state, "..", "lint", time.Now().Format("20060102-150405"))
	comparison, err := compare.New(compare.Options{
		Experiment: e.Experiment, Command: cmd.CommandPath(), Root: where.root, Out: out, Environ: where.environ,
		Network: netip.MustParsePrefix("127.0.77.0/24"), Binaries: where.source(progress).Find, Progress: progress,
	})
	if err != nil {
		return err
	}
	if err := comparison.Run(cmd.Context()); err != nil {
		return interrupted(cmd.Context(), err, nil)
	}
	computed, err := computeReport([]string{out})
	if err != nil {
		return err
	}
	for _, arm := range computed.Groups[0].Faults[0].Arms {
		fmt.Fprintln(cmd.OutOrStdout(), proofLine(arm, computed.Columns, e.Figures))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "records in %s; fleetman report shows more\n", out)
	return nil
}

// proofLine is what one arm showed: its ejections, and some of the report's
// figures.
func proofLine(arm report.Arm, columns []report.Column, names []string) string {
	ejections := 0
	for _, run := range arm.Runs {
		for _, event := range run.Timeline {
			if strings.HasPrefix(event.What, record.EventEjected) {
				ejections++
			}
		}
	}
	var figures []string
	for _, name := range names {
		for _, c := range columns {
			if figure, ok := arm.Figures[name]; ok && c.Name == name {
				figures = append(figures, figure.Text(c.Unit)+" "+c.Head)
			}
		}
	}
	return lint.Line(arm.Name, ejections, figures)
}
