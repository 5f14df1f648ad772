package compare

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"fleetman.example/lab/mesh/parts"
	"fleetman.example/lab/record"
)

// Options say what is compared, and where.
type Options struct {
	Root    string // the repository
	Bin     string // ready-made programs; empty: built from Root
	Out     string // directory for the records and the last fleet's logs
	Environ []string
	Network netip.Prefix // of the pods, and, its last address, of NodePorts

	Arms   []Arm
	Faults []Fault
	Seeds  []uint64
	Rate   float64 // requests a second
	Timing Timing

	// Parts brings the mesh's programs; it is asked once, when an arm has a mesh.
	Parts func(context.Context) (parts.Parts, error)

	Progress func(line string)
}

// RecordsFile is the name of the records within Options.Out.
const RecordsFile = "records.jsonl"

// overhead is about what starting and stopping a fleet takes, without a mesh
// and with one.
func (a Arm) overhead() time.Duration {
	if a.Mesh {
		return 6 * time.Second
	}
	return 3 * time.Second
}

// Run lets every arm meet every fault once a seed, one after the other, and
// writes each run's records when it has ended: what was whole when the context
// ends stays.
func Run(ctx context.Context, o Options) (err error) {
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return fmt.Errorf("records: %w", err)
	}
	path := filepath.Join(o.Out, RecordsFile)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("records: %w; an older comparison's are kept: name another directory with --out", err)
	}
	defer func() {
		if closed := file.Close(); err == nil && closed != nil {
			err = fmt.Errorf("records: %w", closed)
		}
	}()
	var found parts.Parts
	if slices.ContainsFunc(o.Arms, func(a Arm) bool { return a.Mesh }) {
		if found, err = o.Parts(ctx); err != nil {
			return err
		}
	}
	cells := o.cells()
	for i, c := range cells {
		left := expected(cells[i:])
		o.Progress(fmt.Sprintf("%d of %d: %s, %s, seed %d (%v to go)", i+1, len(cells), c.arm.Name, c.fault.Name, c.seed, left.Round(time.Second)))
		c.parts = found
		seen, err := c.run(ctx)
		if err != nil {
			return fmt.Errorf("%s, %s, seed %d: %w", c.arm.Name, c.fault.Name, c.seed, err)
		}
		if err := record.Write(file, seen); err != nil {
			return err
		}
		if o.Bin == "" { // built once
			for j := range cells {
				cells[j].o.Bin = filepath.Join(o.Root, ".cache", "bin")
			}
		}
	}
	return nil
}

// Expected is about how long a comparison takes, once its programs are there.
func Expected(o Options) time.Duration { return expected(o.cells()) }

func expected(cells []*cell) (sum time.Duration) {
	for _, c := range cells {
		sum += c.timing.total() + c.arm.overhead()
	}
	return sum
}

// cells are all runs. The arms take turns, so that what else the machine does
// meets them alike.
func (o Options) cells() []*cell {
	var cells []*cell
	for _, fault := range o.Faults {
		for _, seed := range o.Seeds {
			for _, arm := range o.Arms {
				cells = append(cells, &cell{o: o, arm: arm, fault: fault, seed: seed, timing: o.Timing.of(fault)})
			}
		}
	}
	return cells
}
