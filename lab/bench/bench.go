// Command bench measures the services against what they must be: CPU against plain net/http, the
// largest fleet, start-up, size and memory. It knows them as programs only: it starts them as
// processes on loopback addresses and reads what the kernel says of them (Linux's /proc).
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	os.Exit(exitCode(run(ctx, os.Args[1:], os.Stdout, os.Stderr), os.Stderr))
}

// errMissed is a bench that worked and found a target missed.
var errMissed = errors.New("a target is missed")

func exitCode(err error, stderr io.Writer) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		return 0
	}
	fmt.Fprintln(stderr, "bench:", err)
	return 1
}

type options struct {
	quick       bool
	bin, readme string
	root        string
	only        string
}

func readOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.quick, "quick", false, "about a minute: fewer and shorter rounds")
	flags.StringVar(&o.bin, "bin", "", "directory of built services; unset, they are built into .cache/bin")
	flags.StringVar(&o.readme, "readme", "", "file that gets the tables between <!-- bench --> and <!-- /bench -->")
	flags.StringVar(&o.root, "root", "", "root of the repository; unset, found from the working directory")
	flags.StringVar(&o.only, "only", "", "one part: gateway, chain, fleet or start")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("expected no arguments, found %q", flags.Args())
	}
	if o.only != "" && !strings.Contains(" gateway chain fleet start ", " "+o.only+" ") {
		return o, fmt.Errorf("-only=%q: expected gateway, chain, fleet or start", o.only)
	}
	if o.readme != "" && o.only != "" {
		return o, errors.New("-readme: expected without -only, since the README shows the whole table")
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 1 && args[0] == "plain" { // one of our own comparison processes
		return servePlain(ctx, args[1], args[2:], stdout)
	}
	o, err := readOptions(args, stderr)
	if err != nil {
		return err
	}
	if runtime.GOOS != "linux" {
		return errors.New("expected Linux: CPU and memory are read from /proc")
	}
	if o.root == "" {
		if o.root, err = findRoot(); err != nil {
			return err
		}
	}
	if o.bin == "" {
		if o.bin, err = build(ctx, o.root, stderr); err != nil {
			return err
		}
	}
	began := time.Now()
	b := bench{bin: o.bin, size: full, progress: stderr}
	if o.quick {
		b.size = quick
	}
	result, err := b.all(ctx, o.only)
	if err != nil {
		return err
	}
	text := result.markdown(thisMachine(began, o.quick))
	fmt.Fprint(stdout, text)
	fmt.Fprintf(stderr, "bench: took %s\n", time.Since(began).Round(time.Second))
	if o.readme != "" {
		if err := writeReadme(o.readme, text); err != nil {
			return err
		}
	}
	if result.missed() {
		return errMissed
	}
	return nil
}

// size is how long and how often each figure is measured.
type size struct {
	rounds    int           // of gateway and chain, each with every subject; many short ones, so that what disturbs one subject disturbs the next too
	round     time.Duration // load on one subject
	starts    int           // of each service
	fleets    []int
	warm      time.Duration // before a fleet is measured
	window    time.Duration // a fleet is measured
	beyond    int           // step above the largest of fleets, while the target holds; 0: none
	tries     int           // of one fleet, when others disturb
	idleAfter time.Duration // before idle memory is read
}

var (
	full = size{
		rounds: 25, round: 500 * time.Millisecond, starts: 15,
		fleets: []int{500, 1000, 2000, 3000, 4000, 5000, targetFleet}, warm: 4 * time.Second, window: 10 * time.Second,
		beyond: 1000, tries: 3, idleAfter: 5 * time.Second,
	}
	quick = size{
		rounds: 9, round: 400 * time.Millisecond, starts: 5,
		fleets: []int{1000, 3000, targetFleet}, warm: 3 * time.Second, window: 4 * time.Second,
		tries: 2, idleAfter: 2 * time.Second,
	}
)

type bench struct {
	bin      string
	size     size
	progress io.Writer
}

// all measures every part, or only one.
func (b bench) all(ctx context.Context, only string) (result, error) {
	var r result
	for _, part := range []struct {
		name    string
		measure func(context.Context, *result) error
	}{{"start", b.start}, {"gateway", b.gateway}, {"chain", b.chain}, {"fleet", b.fleet}} {
		if only != "" && only != part.name {
			continue
		}
		fmt.Fprintln(b.progress, "bench:", part.name)
		if err := part.measure(ctx, &r); err != nil {
			return r, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return r, nil
}

func (b bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "bench:   "+format+"\n", args...)
}

// findRoot looks for go.work from the working directory upwards.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.work above the working directory; expected to run inside the repository, or -root")
		}
	}
}

const (
	beginMark = "<!-- bench -->"
	endMark   = "<!-- /bench -->"
)

// writeReadme replaces what stands between the marks.
func writeReadme(path, text string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("-readme: %w", err)
	}
	updated, err := between(old, text)
	if err != nil {
		return fmt.Errorf("-readme %s: %w", path, err)
	}
	if bytes.Equal(old, updated) {
		return nil
	}
	return os.WriteFile(path, updated, 0o644)
}

func between(old []byte, text string) ([]byte, error) {
	head, rest, ok := bytes.Cut(old, []byte(beginMark))
	_, tail, closed := bytes.Cut(rest, []byte(endMark))
	if !ok || !closed {
		return nil, fmt.Errorf("expected the marks %s and %s", beginMark, endMark)
	}
	return bytes.Join([][]byte{head, []byte(beginMark + "\n" + text + endMark), tail}, nil), nil
}
