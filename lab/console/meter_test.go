package console

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestMeter checks what is counted across restarts, from a fixed begin on.
func TestMeter(t *testing.T) {
	const began = 1000
	at := func(second int) time.Time { return time.Unix(began+int64(second), 0) }
	old, fresh := at(-100), at(3)
	all := total{what: calls, from: "a", to: "b"}
	type sample struct {
		source  string
		started time.Time
		counter string
		value   float64
	}
	for _, test := range []struct {
		name     string
		readings [][]sample
		want     float64
	}{
		{"what was before the first reading is left out", [][]sample{{{"a", old, "x", 70}}, {{"a", old, "x", 75}}}, 5},
		{"a counter that was not there was 0", [][]sample{{{"a", old, "x", 70}}, {{"a", old, "x", 70}, {"a", old, "y", 3}}}, 3},
		{"a restarted source begins at 0", [][]sample{{{"a", old, "x", 70}}, {{"a", fresh, "x", 80}}}, 80},
		{"a restart that is seen by its count alone", [][]sample{{{"a", old, "x", 70}}, {{"a", old, "x", 4}}}, 4},
		{"a new source begins at 0", [][]sample{{}, {{"b", fresh, "x", 9}}}, 9},
		{"an old source that responds late", [][]sample{{}, {{"b", old, "x", 9}}, {{"b", old, "x", 11}}}, 2},
		{"a missed reading", [][]sample{{{"a", old, "x", 70}}, {}, {{"a", old, "x", 77}}}, 7},
	} {
		m := newMeter()
		for i, reading := range test.readings {
			adds := map[string]func(any, float64, ...total){}
			for _, s := range reading {
				if adds[s.source] == nil {
					adds[s.source] = m.open(s.source, s.started)
				}
				adds[s.source](s.counter, s.value, all)
			}
			m.close(at(i))
		}
		assert.Equal(t, test.want, m.totals[all], test.name)
	}
}

// TestRates checks rates and quantiles of the window.
func TestRates(t *testing.T) {
	m := newMeter()
	all := total{what: calls, from: "a", to: "b"}
	bucket := func(le float64) total { return total{took, "a", "b", le} }
	for second := range 20 {
		add := m.open("a", time.Unix(1, 0))
		add("n", float64(10*second), all)
		add("fast", float64(9*second), bucket(0.1))
		add("slow", float64(10*second), bucket(0.3))
		add("all", float64(10*second), bucket(math.Inf(1)))
		m.close(time.Unix(int64(1000+second), 0))
	}
	assert.Equal(t, []float64{10, 10, 5}, []float64{m.rate(all), m.last(all), m.span()}, "rate, last, span")
	// 90 % within 0.1 s, the others between 0.1 and 0.3 s
	for q, want := range map[float64]float64{0.45: 0.05, 0.9: 0.1, 0.95: 0.2, 1: 0.3} {
		assert.InDelta(t, want, m.quantile(q, total{what: took, from: "a", to: "b"}, m.bounds(took)), 1e-9, "quantile %v", q)
	}
	assert.Zero(t, m.quantile(0.5, total{what: took, from: "x"}, m.bounds(took)), "quantile of nothing")
}
