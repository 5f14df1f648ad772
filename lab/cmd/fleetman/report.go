//go:build !local

package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/record"
	"fleetman.example/lab/report"
	"fleetman.example/lab/usage"
)

// htmlFile is the name of the whole report beside the records.
const htmlFile = "report.html"

// reportFlags are the flags of `fleetman report`.
type reportFlags struct {
	environ                        []string // for colours
	output                         output
	all, live                      bool
	port                           uint16
	readme, html, hgrm, svg, junit string
	goals                          []string
}

func reportCommand(where *places) *cobra.Command {
	f := reportFlags{environ: where.environ}
	cmd := &cobra.Command{
		Use:   "report DIR...",
		Short: "Compute figures, findings and verdicts from the records of comparisons",
		Long: `Compute figures, findings and verdicts from the records of one or more
comparisons. Directories with different faults make one report. Two directories
with the same arms and faults are shown side by side, with the differences.

The exit code is 0 when all goals are met, 1 when one is missed, 3 when one is
not decided by so few requests, 2 for a mistake in the records or a flag, 4 when a file
could not be written.`,
		Example: `  fleetman report DIR                     # findings and matrix, in 40 lines
  fleetman report DIR --all               # every table
  fleetman report DIR -o json             # every figure; -o csv, -o markdown
  fleetman report DIR --html report.html  # one page, with pictures, to mail or print
  fleetman report DIR --serve             # the same page while compare --out DIR runs
  fleetman report BEFORE AFTER            # side by side; with --html as a page
  fleetman report DIR --goal 'library, bad-replica: good >= 99.8% at 95%'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage.Errorf("%s: no DIR: must be one or more directories of comparisons", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			goals, err := f.check()
			if err != nil {
				return usage.Error{Err: err}
			}
			if cmd.Flags().Changed("port") && !f.live {
				return usage.Error{Err: errors.New("fleetman report: --port: must be with --serve")}
			}
			if f.live {
				return f.serve(cmd.Context(), args, goals, cmd.OutOrStdout())
			}
			return f.run(args, goals, cmd.OutOrStdout())
		},
	}
	f.addShared(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.readme, "readme", "", "put the Markdown into a file, between its marks <!-- compare --> and <!-- /compare -->")
	flags.StringVar(&f.html, "html", "", "write the whole report into a file: one page that needs no other file and no host")
	flags.StringVar(&f.hgrm, "hgrm", "", "write the latencies into a directory, as FAULT-ARM.hgrm of HdrHistogram")
	flags.StringVar(&f.svg, "svg", "", "draw the matrix and each fault's runs into a directory, as SVG")
	flags.BoolVar(&f.live, "serve", false, "serve the page on this machine while the comparisons run: it grows with each run, until Ctrl-C")
	flags.Uint16Var(&f.port, "port", servePort, "the port of --serve, on 127.0.0.1; 0 is any free one")
	flags.StringArrayVar(&f.goals, "goal", nil, "a goal besides the experiment's: ARM, FAULT: FIGURE >= BOUND [at 95%]")
	return cmd
}

// addShared adds the flags that compare has too: it ends with a report.
func (f *reportFlags) addShared(cmd *cobra.Command) {
	f.output.addAs(cmd, "output", "o", "table", "json", "csv", "markdown")
	f.output.addHidden(cmd.Flags(), "json", "csv", "markdown")
	cmd.Flags().BoolVar(&f.all, "all", false, "write every table, curve and timeline")
	cmd.Flags().StringVar(&f.junit, "junit", "", "write the goals into a file, as JUnit XML")
}

// check refuses what does not go together, and reads the goals.
func (f reportFlags) check() (goals []experiment.Goal, err error) {
	forms := []bool{f.output.format != "table", f.readme != "", f.live}
	if count(forms, func(given bool) bool { return given }) > 1 {
		return nil, errors.New("fleetman report: -o, --readme, --serve: must be one of them")
	}
	if f.live && (f.all || f.html != "" || f.hgrm != "" || f.svg != "" || f.junit != "") {
		return nil, errors.New("fleetman report --serve: --all, --html, --hgrm, --svg, --junit: must be of a comparison that is done")
	}
	if err := errors.Join(checkOutput("html", f.html), checkOutput("junit", f.junit), checkDir("hgrm", f.hgrm), checkDir("svg", f.svg), checkMarks(f.readme, "compare")); err != nil {
		return nil, err
	}
	err = addEach(new(experiment.Experiment), "goal", f.goals, experiment.ParseGoal, &goals)
	return goals, err
}

func (f reportFlags) run(dirs []string, goals []experiment.Goal, w io.Writer) error {
	if len(dirs) == 2 {
		a, err := computeReport(dirs[:1])
		if err != nil {
			return err
		}
		b, err := computeReport(dirs[1:])
		if err != nil {
			return err
		}
		if report.Overlap(a, b) {
			if err := b.Judge(goals...); err != nil {
				return usage.Error{Err: err}
			}
			p := report.Compare(a, b)
			p.Dirs = [2]string(dirs)
			return f.writePair(p, w)
		}
	}
	r, err := computeReport(dirs)
	if err != nil {
		return err
	}
	if err := r.Judge(goals...); err != nil {
		return usage.Error{Err: err}
	}
	return f.write(r, dirs, w)
}

// write writes one report. The error is of the goals when one is not met.
func (f reportFlags) write(r report.Report, dirs []string, w io.Writer) error {
	if err := f.writeFiles(r); err != nil {
		return err
	}
	if err := f.print(r, dirs, w); err != nil {
		return err
	}
	return goalsOf(r, f.readme == "" && (f.output.format == "table" || f.output.format == "json"))
}

// writeFiles writes the forms that have files of their own.
func (f reportFlags) writeFiles(r report.Report) (err error) {
	if f.html != "" {
		err = writeHTML(f.html, func(w io.Writer) error { return report.HTML(w, r) })
	}
	if err == nil && f.hgrm != "" {
		err = report.HGRM(f.hgrm, r)
	}
	if err == nil && f.svg != "" {
		err = report.SVG(f.svg, r)
	}
	if err == nil {
		err = f.writeJUnit(r)
	}
	return err
}

// print writes the selected form to w, or into the README.
func (f reportFlags) print(r report.Report, dirs []string, w io.Writer) error {
	markdown := report.MarkdownSummary
	if f.all {
		markdown = report.Markdown
	}
	if f.readme != "" {
		var text bytes.Buffer
		markdown(&text, r)
		return replaceBetween(f.readme, "compare", text.String())
	}
	switch f.output.format {
	case "json":
		return report.JSON(w, r)
	case "csv":
		return report.CSV(w, r)
	case "markdown":
		markdown(w, r)
		return nil
	}
	if f.all {
		report.Text(w, r)
	} else {
		report.Summary(w, r, report.SummaryOptions{Color: coloured(w, f.environ), HTML: cmp.Or(f.html, htmlIn(dirs))})
	}
	return nil
}

func (f reportFlags) writePair(p report.Pair, w io.Writer) error {
	if f.output.format == "csv" || f.output.format == "markdown" || f.readme != "" || f.hgrm != "" || f.svg != "" {
		return usage.Error{Err: errors.New("fleetman report A B: -o csv, -o markdown, --readme, --hgrm, --svg: must be of one comparison")}
	}
	if f.html != "" {
		if err := writeHTML(f.html, func(w io.Writer) error { return report.PairHTML(w, p) }); err != nil {
			return err
		}
	}
	if err := f.writeJUnit(p.B); err != nil {
		return err
	}
	if f.output.format == "json" {
		if err := report.JSON(w, p); err != nil {
			return err
		}
	} else {
		report.PairText(w, p, f.all)
	}
	return goalsOf(p.B, f.output.format == "json")
}

// writeHTML writes the page. The file is whole, or as it was.
func writeHTML(path string, page func(io.Writer) error) error {
	var text bytes.Buffer
	if err := page(&text); err != nil {
		return err
	}
	temporary := path + ".new"
	err := os.WriteFile(temporary, text.Bytes(), 0o644)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

func (f reportFlags) writeJUnit(r report.Report) error {
	return writeJUnit(f.junit, func(w io.Writer) error { return report.JUnit(w, r) })
}

// goalsOf returns an error unless all goals of a report are met. It has the goals
// themselves unless the report has shown them.
func goalsOf(r report.Report, shown bool) error {
	code := r.ExitCode()
	if code == report.ExitMet {
		return nil
	}
	var texts []string
	for _, v := range r.Unmet() {
		texts = append(texts, v.Line())
	}
	short := fmt.Sprintf("goals: %d of %d not met", len(texts), len(r.Goals))
	if shown {
		return goalsError{code, short}
	}
	return goalsError{code, short + ": " + strings.Join(texts, "; ")}
}

// htmlIn is the first report.html of some directories; empty when there is none.
func htmlIn(dirs []string) string {
	for _, dir := range dirs {
		path := filepath.Join(dir, htmlFile)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// computeReport reads the records of comparisons and computes their report.
func computeReport(dirs []string) (report.Report, error) {
	var all []*record.Comparison
	for _, dir := range dirs {
		read, err := record.ReadDir(dir)
		if incomplete, ok := errors.AsType[record.Incomplete](err); ok {
			return report.Report{}, usage.Errorf("%w\n%s", err, measuresAgain(incomplete, dir))
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			err = usage.Errorf("%s: no records: must be the directory of a comparison", quoted(dir))
		}
		if err != nil {
			return report.Report{}, usage.Error{Err: err}
		}
		all = append(all, read)
	}
	computed, err := report.Compute(all...)
	if err != nil {
		return report.Report{}, usage.Errorf("report: %w", err)
	}
	return computed, nil
}

// measuresAgain describes how runs that are not whole are measured again.
func measuresAgain(i record.Incomplete, dir string) string {
	decompress := ""
	if file := i.Defects[0].File; filepath.Base(file) == record.CompressedName {
		decompress = "zstd -d " + usage.ShellWord(file) + " && "
	}
	return fmt.Sprintf("%s%s --out %s measures what is not whole", decompress, i.Command, usage.ShellWord(dir))
}
