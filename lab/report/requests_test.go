package report

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"fleetman.example/lab/record"
)

// TestSettled: fault at 5 s, repair at 20 s, windows of 3 s in which one of 30
// may go wrong.
func TestSettled(t *testing.T) {
	slow := Run{slo: 1500 * time.Millisecond}
	within := func(t, from, until float64) bool { return t > from-1e-9 && t < until-1e-9 }
	for name, test := range map[string]struct {
		made  func(t float64) record.Request
		want  float64 // from the fault
		never bool
	}{
		"nothing goes wrong": {func(float64) record.Request { return good }, 0, false},
		"one goes wrong":     {func(t float64) record.Request { return pick(within(t, 9, 9.1), failed) }, 0, false},
		"one in each 3 s":    {func(t float64) record.Request { return pick(int(t*10+.5)%30 == 0, failed) }, 0, false},
		"a second of it":     {func(t float64) record.Request { return pick(within(t, 5, 6), failed) }, 0.9, false},                        // the last may go wrong
		"late answers":       {func(t float64) record.Request { return pick(within(t, 5, 6), late) }, 0.9, false},                          // they violate the SLO as failed ones do
		"it comes back":      {func(t float64) record.Request { return pick(within(t, 5, 6) || within(t, 12, 12.2), failed) }, 7.1, false}, // from 12.1 on there is one
		"until the repair":   {func(t float64) record.Request { return pick(within(t, 5, 20), failed) }, 0, true},                          // never
		"at the very end":    {func(t float64) record.Request { return pick(within(t, 19, 20), failed) }, 0, true},                         // no window after it
		"after the repair":   {func(t float64) record.Request { return pick(within(t, 20, 25), failed) }, 0, false},                        // not of the fault
		"degraded in time":   {func(t float64) record.Request { return pick(within(t, 5, 20), degraded) }, 0, false},                       // contained, though degraded
		"it was so before":   {func(t float64) record.Request { return pick(int(t*10+.5)%10 == 0, failed) }, 0, false},                     // a tenth, before and during
		"worse than before": {func(t float64) record.Request {
			return pick(int(t*10+.5)%10 == 0 || t > 5 && int(t*10+.5)%10 < 3, failed)
		}, 0, true}, // three tenths
		"no time for it":   {func(t float64) record.Request { return pick(within(t, 5, 17.5), failed) }, 0, true},   // 2.5 s are no window
		"just time for it": {func(t float64) record.Request { return pick(within(t, 5, 17), failed) }, 11.9, false}, // 3 s are
	} {
		requests := every(30, test.made)
		healthy := count(record.Between(requests, 0, at(5)), slow.violates).Share()
		got, ok := settled(requests, at(5), at(20), slow.violates, healthy+Tolerance)
		assert.Equal(t, !test.never, ok, name)
		if ok {
			assert.Equal(t, at(5+test.want), got, name)
		}
	}
	_, ok := settled(nil, 0, at(20), slow.violates, 1)
	assert.Equal(t, false, ok, "settled without any request")
}

// TestRecovered: degraded answers are no recovery.
func TestRecovered(t *testing.T) {
	run := &record.Run{Key: record.Key{Arm: "library", Fault: "all-bad"}, FaultAt: at(5), RepairAt: at(15), End: at(30), Rate: 10}
	run.Requests = every(30, func(t float64) record.Request { return pick(t > 5 && t < 22, degraded) })
	got := compute(run, slo, getOnly)
	degradedThen, _ := column("degradedThen")
	assert.Equal(t, []*float64{new(0.), new(.99), new(6.9)}, []*float64{got.Contained, degradedThen.of(&got), got.Recovered}, "contained, degraded then, recovered")
}

// TestDeliveries: a vehicle that stalls from 4 s to 9 s, another that never
// reports again after 6 s.
func TestDeliveries(t *testing.T) {
	run := &record.Run{End: at(12)}
	for i := range 12 {
		second := float64(i)
		if second <= 4 || second >= 9 {
			run.Positions = append(run.Positions, record.Position{At: at(second), Vehicle: "A"})
		}
		if second <= 6 {
			run.Positions = append(run.Positions, record.Position{At: at(second + .5), Vehicle: "B"})
		}
	}
	for _, test := range []struct{ from, until, perSecond, longest float64 }{
		{0, 4, 2, 1},
		{4, 8, 1, 5.5}, // B's last, at 6.5 s, to the end at 12 s
		{4, 6, 1.5, 5}, // A's
		{9, 12, 1, 5.5},
	} {
		perSecond, longest := deliveries(run, at(test.from), at(test.until))
		assert.Equal(t, []float64{test.perSecond, test.longest}, []float64{perSecond, longest}, fmt.Sprintf("a second, and longest gap, from %v to %v", test.from, test.until))
	}
}

// TestLastKnown separates last known answers, with their ages, from placeholders.
func TestLastKnown(t *testing.T) {
	n := 0
	run := &record.Run{Key: record.Key{Arm: "library", Fault: "x", Seed: 1}, Rate: 10, FaultAt: at(0), RepairAt: at(10), End: at(10), Rules: "reset"}
	run.Requests = every(10, func(float64) record.Request {
		n++
		r := good
		switch {
		case n <= 40:
			r.Degraded = fmt.Sprintf("last-known; age=%ds", n)
		case n <= 50:
			r.Degraded = "placeholder"
		}
		return r
	})
	a := computed(t, run).Faults[0].Arms[0]
	for name, want := range map[string]float64{"lastKnown": .4, "oldest": 40, "degraded": .5} {
		assert.Equal(t, want, a.Value(name), name)
	}
}
