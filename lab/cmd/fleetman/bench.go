//go:build !local

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"fleetman.example/lab/bench"
	"fleetman.example/lab/usage"
)

// plainServer is the argument with which bench runs the plain net/http server that
// the services are compared with: bench plain ROLE ADDRESS...
const plainServer = "plain"

func benchCommand(where *places) *cobra.Command {
	var o bench.Options
	var readme string
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the services against plain net/http, on Linux",
		Long: `Measure the services: CPU against plain net/http handlers, the largest fleet,
start-up, size and idle memory, as Markdown. All parts together take
about six minutes. The exit code is 1 when a target is missed.`,
		Example: `  fleetman bench --quick
  fleetman bench --only gateway`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 && args[0] == plainServer {
				return nil
			}
			return none(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return bench.ServePlain(cmd.Context(), args[1], args[2:], cmd.OutOrStdout())
			}
			if err := errors.Join(o.Check(), checkBin(o.Bin), checkMarks(readme, "bench")); err != nil {
				return usage.Error{Err: err}
			}
			if readme != "" && o.Only != "" {
				return usage.Error{Err: errors.New("--readme: must be without --only: the README shows the whole table")}
			}
			if err := where.findRoot(); err != nil {
				return err
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			o.Root, o.Plain = where.root, []string{self, "bench", plainServer}
			o.Progress = func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
			result, err := bench.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), result.Markdown())
			if readme != "" {
				if err := replaceBetween(readme, "bench", result.Markdown()); err != nil {
					return err
				}
			}
			if result.Missed() {
				return errors.New("bench: a target is missed")
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.Quick, "quick", false, "fewer and shorter rounds: about a minute")
	flags.StringVar(&o.Bin, "bin", "", "a directory of ready-made programs (default: build them)")
	flags.StringVar(&o.Only, "only", "", "one part: "+strings.Join(bench.Parts, ", "))
	flags.StringVar(&readme, "readme", "", "put the tables into a file, between its marks <!-- bench --> and <!-- /bench -->")
	return cmd
}

// checkMarks returns an error unless --readme has no file, or one with marks.
func checkMarks(path, name string) error {
	if path == "" {
		return nil
	}
	_, _, err := splitAtMarks(path, name)
	return err
}

// splitAtMarks returns a file up to the mark <!-- NAME -->, and from the mark <!-- /NAME -->.
func splitAtMarks(path, name string) (before, after string, err error) {
	begin, end := "<!-- "+name+" -->", "<!-- /"+name+" -->"
	old, err := os.ReadFile(path)
	if err != nil {
		return "", "", fmt.Errorf("--readme: %w", err)
	}
	before, rest, found := strings.Cut(string(old), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return "", "", fmt.Errorf("--readme %s: no marks: must have %s and %s", path, begin, end)
	}
	return before + begin + "\n", end + after, nil
}

// replaceBetween replaces the text between the marks of a file.
func replaceBetween(path, name, text string) error {
	before, after, err := splitAtMarks(path, name)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(before+text+after), 0o644); err != nil {
		return fmt.Errorf("--readme: %w", err)
	}
	return nil
}
