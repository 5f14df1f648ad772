package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Format is the version of the records' fields.
const Format = 3

// Comparison is the first line of the records, with the runs that follow it.
type Comparison struct {
	Kind   string    `json:"kind"`
	Format int       `json:"format"`
	Began  time.Time `json:"began"`
	// Command is the command line that makes the same comparison again.
	Command string `json:"command"`
	// Experiment is the text of the experiment's file.
	Experiment string `json:"experiment,omitempty"`
	Conditions

	Runs []*Run `json:"-"`
}

// Find returns the run of a key; nil without it, and of no comparison.
func (c *Comparison) Find(key Key) *Run {
	if c != nil {
		for _, r := range c.Runs {
			if r.Same(key) {
				return r
			}
		}
	}
	return nil
}

// Conditions are the parameters that runs must share to be compared.
type Conditions struct {
	Seeds  []uint64 `json:"seeds"`
	Rate   float64  `json:"rate"` // requests per second, the mean from fault to repair
	Target string   `json:"target"`
	// SLO is the latency above which an answer violates the objective.
	SLO     Offset `json:"sloSeconds"`
	Machine string `json:"machine"`
	// Versions are those of the programs, by name: fleetman, go, istio, envoy.
	Versions map[string]string `json:"versions"`
	// The lengths of the three parts of a run.
	Healthy Offset `json:"healthySeconds"`
	Fault   Offset `json:"faultSeconds"`
	After   Offset `json:"afterSeconds"`
}

// Difference names the first field in which two differ, with both values, the
// way an error shows it; it is empty when they are the same.
func (c Conditions) Difference(other Conditions) string {
	mine, others := c.fields(), other.fields()
	for _, name := range slices.Sorted(maps.Keys(mine)) {
		if !bytes.Equal(mine[name], others[name]) {
			return fmt.Sprintf("%s: %s and %s", name, mine[name], others[name])
		}
	}
	return ""
}

// fields are the JSON forms of the fields.
func (c Conditions) fields() (all map[string]json.RawMessage) {
	text, err := json.Marshal(c)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		panic(err) // it is plain data
	}
	return all
}

func (c *Comparison) check() error {
	switch {
	case c.Format != Format:
		return fmt.Errorf("format: %d: must be %d; make the comparison again, or read it with the fleetman that made it", c.Format, Format)
	case !(c.Rate > 0):
		return fmt.Errorf("rate: %v: must be more than 0", c.Rate)
	case c.SLO <= 0:
		return fmt.Errorf("sloSeconds: %v: must be more than 0", time.Duration(c.SLO).Seconds())
	case len(c.Seeds) == 0:
		return fmt.Errorf("seeds: none: must be at least one")
	case !strings.HasPrefix(c.Command, "fleetman "):
		return fmt.Errorf("command: %.60q: must be a command line of fleetman", c.Command)
	}
	return nil
}
