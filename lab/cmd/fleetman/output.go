package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/process"
)

// output is the flag -o of every command that shows something.
type output struct {
	format  string
	formats []string // the values of the flag, the default first
}

// add adds the flag to a command that prints a table.
func (o *output) add(cmd *cobra.Command) {
	o.addAs(cmd, "output", "o", "table", "wide", "json", "yaml")
}

// addAs adds the flag by a name and with formats, the default first.
func (o *output) addAs(cmd *cobra.Command, name, shorthand string, formats ...string) {
	o.format, o.formats = formats[0], formats
	cmd.Flags().VarP(o, name, shorthand, "how to print: "+strings.Join(formats, ", "))
	completeFlag(cmd, name, fixed(formats))
}

// addHidden adds a hidden flag for each format, such as --json for -o json.
func (o *output) addHidden(flags *pflag.FlagSet, formats ...string) {
	for _, format := range formats {
		flags.BoolFunc(format, "-o "+format, func(string) error { return o.Set(format) })
		flags.Lookup(format).Hidden = true
	}
}

func (o *output) String() string { return o.format }
func (o *output) Type() string   { return "FORMAT" }

// Set sets the format.
func (o *output) Set(text string) error {
	if !slices.Contains(o.formats, text) {
		return fmt.Errorf("one of %s", strings.Join(o.formats, ", "))
	}
	o.format = text
	return nil
}

// structured reports whether the format is for programs.
func (o *output) structured() bool { return o.format == "json" || o.format == "yaml" }

// print writes value as JSON or YAML; for the other formats it calls show.
func (o *output) print(cmd *cobra.Command, environ []string, value any, show func(*printer)) error {
	out := cmd.OutOrStdout()
	var text []byte
	var err error
	switch o.format {
	case "json":
		text, err = json.MarshalIndent(value, "", "  ")
		text = append(text, '\n')
	case "yaml":
		text, err = yaml.Marshal(value)
	default:
		show(&printer{w: out, wide: o.format == "wide", colour: coloured(out, environ)})
		return nil
	}
	if err != nil {
		return fmt.Errorf("print %s: %w", o.format, err)
	}
	_, err = out.Write(text)
	return err
}

// checkedOutput keeps the first error of a write to the standard output, as of a full disk, which most commands do not
// check. A command with one has failed.
type checkedOutput struct {
	to io.Writer

	mu     sync.Mutex
	failed error
}

func (c *checkedOutput) Write(text []byte) (int, error) {
	n, err := c.to.Write(text)
	if err == nil {
		return n, nil
	}
	err = fmt.Errorf("standard output: %w", err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = cmp.Or(c.failed, err)
	return n, err
}

// failure returns the first error.
func (c *checkedOutput) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// coloured reports whether w is a terminal that shows colours, and NO_COLOR is
// not set (https://no-color.org).
func coloured(w io.Writer, environ []string) bool {
	get := process.Getenv(environ)
	if out, ok := w.(*checkedOutput); ok {
		w = out.to
	}
	file, ok := w.(*os.File)
	return ok && get("NO_COLOR") == "" && get("TERM") != "dumb" && term.IsTerminal(int(file.Fd()))
}

// Colours, as escape sequences of terminals.
const (
	plain = ""
	bold  = "\x1b[1m"
	red   = "\x1b[31m"
	reset = "\x1b[0m"
)

// printer writes tables and lines for people.
type printer struct {
	w            io.Writer
	wide, colour bool
}

// line writes one line.
func (p *printer) line(colour, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if p.colour && colour != plain {
		text = colour + text + reset
	}
	fmt.Fprintln(p.w, text)
}

// row is a line of a table.
type row struct {
	cells  []string
	colour string
}

// table writes rows below a header, in columns.
func (p *printer) table(header []string, rows []row) {
	rows = append([]row{{header, bold}}, rows...)
	var text strings.Builder
	columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(columns, strings.Join(r.cells, "\t"))
	}
	columns.Flush()
	lines := strings.Split(text.String(), "\n")
	for i, r := range rows {
		p.line(r.colour, "%s", lines[i])
	}
}

// columns returns the cells of a row or a header, with those of the wide table.
func (p *printer) columns(always []string, wide ...string) []string {
	if p.wide {
		return append(always, wide...)
	}
	return always
}

// count returns the number of elements for which is holds.
func count[T any](all []T, is func(T) bool) (n int) {
	for _, one := range all {
		if is(one) {
			n++
		}
	}
	return n
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// orDash returns a cell of a table.
func orDash(text string) string { return cmp.Or(text, "-") }
