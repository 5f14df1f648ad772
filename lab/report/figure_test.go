package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/record"
)

// randomRun is a run at a rate, with as many failures and such latencies as chance has it.
func randomRun(random *rand.Rand, arm string, seed uint64, rate int) *record.Run {
	r := outcomesOf(arm, seed, 0, 0)
	r.Rate, r.Requests = float64(rate), nil
	failing, longest := random.Float64(), .1*math.Pow(30, math.Pow(random.Float64(), 3)) // few are slow
	for i := range 14 * rate {
		q := pick(random.Float64() < failing, failed)
		q.Intended = at(float64(i) / float64(rate))
		q.Start, q.End = q.Intended, q.Intended+at(longest*random.Float64()*random.Float64())
		r.Requests = append(r.Requests, q)
	}
	return r
}

// TestIntervalHolds: no value is outside of its own interval, of no figure and of no
// difference, whatever the runs are.
func TestIntervalHolds(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 2))
	holds := func(e Estimate, what string, of ...any) {
		if e.Low != nil {
			assert.True(t, *e.Low <= *e.Value && *e.Value <= *e.High, fmt.Sprintf("%s: %v (%v..%v)", fmt.Sprintf(what, of...), *e.Value, *e.Low, *e.High))
		}
	}
	for range 20 {
		var runs, slower []*record.Run
		for seed := range uint64(1 + random.IntN(7)) {
			for _, arm := range []string{"none", "b"} {
				runs = append(runs, randomRun(random, arm, seed+1, 50))
				slower = append(slower, randomRun(random, arm, seed+1, 20))
			}
		}
		before, after := of(runs...), of(slower...)
		a, b := reportOf(t, before), reportOf(t, after)
		for _, arm := range a.Groups[0].Faults[0].Arms {
			for name, f := range arm.Figures {
				holds(f.Estimate, "%s of %d runs", name, len(arm.Runs))
				holds(arm.Over[name].Estimate, "%s over none, of %d runs", name, len(arm.Runs))
			}
		}
		for _, c := range Compare(a, b).Changes {
			holds(c.Difference.Estimate, "%s of two comparisons", c.Column)
		}
	}
}

// oneSlow is an arm of which one of several seeds is slow throughout.
func oneSlow(arm string, seeds int) (runs []*record.Run) {
	for seed := range seeds {
		r := outcomesOf(arm, uint64(seed)+1, 0, 0)
		r.Requests = nil
		for i := range 700 {
			q := good
			q.Intended = at(float64(i) / 50)
			q.Start, q.End = q.Intended, q.Intended+at(.01)
			if seed == 0 {
				q.End = q.Intended + at(2)
			}
			r.Requests = append(r.Requests, q)
		}
		runs = append(runs, r)
	}
	return runs
}

// TestSeedsDiffer: a quantile is judged as the share of which it is the same statement.
func TestSeedsDiffer(t *testing.T) {
	r := reportOf(t, of(oneSlow("a", 4)...))
	judge(t, &r, "a, x: goodput >= 45", "a, x: p90 <= 1.5s", "a, x: p50 <= 1.5s", "a, x: p90 <= 3s")
	require.Len(t, r.Goals, 4, "goals")
	for i, want := range []string{GoalUndecided, GoalUndecided, GoalUndecided, GoalMet} {
		assert.Equal(t, want, r.Goals[i].Result, r.Goals[i].Goal)
	}
}

// TestDifferenceOfQuantiles: the value is the mean of the pairs, as the interval is.
func TestDifferenceOfQuantiles(t *testing.T) {
	runs := oneSlow("a", 8)
	for seed := range uint64(8) {
		b := oneSlow("b", int(seed)+2)[seed+1]
		b.Seed = seed + 1
		runs = append(runs, b)
	}
	r := reportOf(t, of(runs...))
	judge(t, &r, "a, x: p50 over b <= 60ms")
	assert.Equal(t, "not decided by 4000 requests: 249 ms (-339..837); about 38846 would decide it", r.Goals[0].Text, "verdict")
}

// TestSupported: one rule says which percentiles a sample supports, in every form.
func TestSupported(t *testing.T) {
	a := computed(t, outcomesOf("a", 1, 0, 0)).Faults[0].Arms[0]
	shares := func(all []Percentile) (q []float64) {
		for _, p := range all {
			q = append(q, p.Share)
		}
		return q
	}
	want := []float64{0, .1, .25, .5, .75, .9, .95} // 100 requests
	assert.Equal(t, want, shares(a.Percentiles), "of the arm")
	assert.Equal(t, want, shares(a.Runs[0].Percentiles), "of the run")
	assert.Nil(t, a.Figures["p99"].Value, "p99")
	assert.Equal(t, []*float64{nil}, a.Figures["p99"].Runs, "p99 of the run")
	text := a.hgrm()
	assert.NotContains(t, text, " 0.99", fmt.Sprintf("histogram:\n%s", text))
	assert.Contains(t, text, " 1.000000", "histogram, the highest")
}
