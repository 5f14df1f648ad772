// Package bench compares the services with their targets: CPU against plain net/http, the largest
// fleet, start-up, size and memory. It starts them as processes on loopback addresses and reads their
// CPU time and memory from the kernel.
package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"fleetman.example/lab/local"
	"fleetman.example/lab/process"
)

// services are the programs of the fleet.
var services = []string{"api-gateway", "position-simulator", "position-tracker", "staff-service", "vehicle-telemetry", "webapp"}

// Options select what is measured.
type Options struct {
	Root  string // of the repository
	Bin   string // directory of built services; empty: they are built from Root
	Quick bool   // about a minute: fewer and shorter rounds
	Only  string // one of Parts; empty: all
	// Plain is the command that runs ServePlain with the arguments that follow.
	Plain    []string
	Progress func(line string)
}

// Parts are the values of Options.Only.
var Parts = []string{"start", "gateway", "chain", "fleet"}

// Check returns an error for a wrong option.
func (o Options) Check() error {
	if o.Only != "" && !slices.Contains(Parts, o.Only) {
		return fmt.Errorf("--only: %q: must be one of %s", o.Only, strings.Join(Parts, ", "))
	}
	return nil
}

// Run measures, and returns the result with the conditions of its measurement.
func Run(ctx context.Context, o Options) (*Result, error) {
	if runtime.GOOS != "linux" {
		return nil, errors.New("bench: runs on Linux only: it reads CPU and memory from /proc")
	}
	r := &Result{machine: machine{time.Now().UTC().Format(time.DateOnly), process.MachineModel(ctx), runtime.Version(), runtime.NumCPU(), o.Quick}}
	if o.Bin == "" {
		var err error
		if o.Bin, err = local.Build(ctx, o.Root, services, o.Progress); err != nil {
			return nil, err
		}
	}
	spawner, err := process.NewSpawner()
	if err != nil {
		return nil, err
	}
	defer spawner.Close()
	b := bench{Options: o, size: full, spawner: spawner}
	if o.Quick {
		b.size = quick
	}
	for i, measure := range []func(context.Context, *Result) error{b.start, b.gateway, b.chain, b.fleet} {
		if o.Only != "" && o.Only != Parts[i] {
			continue
		}
		b.say("%s", Parts[i])
		if err := measure(ctx, r); err != nil {
			return nil, fmt.Errorf("bench: %s: %w", Parts[i], err)
		}
	}
	return r, nil
}

// size has the durations and repetitions of the measurements.
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
	Options
	size    size
	spawner *process.Spawner
	client  http.Client // of the admin listeners
}

func (b *bench) say(format string, args ...any) { b.Progress(fmt.Sprintf("bench: "+format, args...)) }

// machine describes the machine and the date of a measurement.
type machine struct {
	date, cpu, goVersion string
	cores                int
	quick                bool
}
