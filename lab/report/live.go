package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/record"
)

// Live is the page of comparisons that may still be running.
type Live struct {
	Page    []byte
	Version string // the same while the page is
}

// NewLive computes the report of the runs that there are. Goals wait for their
// runs.
func NewLive(goals []experiment.Goal, comparisons ...*record.Comparison) (Live, error) {
	r, err := Compute(comparisons...)
	if err != nil {
		return Live{}, err
	}
	for _, goal := range goals {
		found, err := r.judge(goal)
		if err != nil {
			return Live{}, err
		}
		r.Goals = append(r.Goals, found...)
	}
	r.Findings = r.findings()
	data, err := json.Marshal(r)
	if err != nil {
		return Live{}, fmt.Errorf("write the page: %w", err)
	}
	p := page{Report: r}
	p.Version = fmt.Sprintf(`"%x"`, sha256.Sum256(data))
	p.Progress = progress(comparisons)
	p.fill()
	var text bytes.Buffer
	if err := p.shell.write(&text, "report.html", &p, r); err != nil {
		return Live{}, err
	}
	return Live{text.Bytes(), p.Version}, nil
}

// progress describes how many runs there are of those that the experiments have.
func progress(comparisons []*record.Comparison) string {
	there, planned := 0, 0
	for _, c := range comparisons {
		there += len(c.Runs)
		if e, err := experiment.Recorded([]byte(c.Experiment), nil); err == nil {
			planned += runs(e) * len(c.Seeds)
		}
	}
	switch {
	case there == 0:
		return "No run is measured yet. The page grows with each."
	case planned > there:
		return fmt.Sprintf("%d of %d runs are measured. The page grows with each.", there, planned)
	}
	return plural(there, "run") + " measured: all of them."
}

// runs is how many runs an experiment has for each seed.
func runs(e *experiment.Experiment) (n int) {
	arms, faults := e.Expand()
	for _, a := range arms {
		for _, f := range faults {
			if experiment.Meet(a, f) {
				n += max(1, e.Repeats)
			}
		}
	}
	return n
}
