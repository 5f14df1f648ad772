package bench

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// spread is a figure measured several times.
type spread struct{ median, min, max float64 }

// spreadOf panics without a value.
func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	median := sorted[mid]
	if len(sorted)%2 == 0 {
		median = (sorted[mid-1] + sorted[mid]) / 2
	}
	return spread{median, sorted[0], sorted[len(sorted)-1]}
}

// histogram has cumulative counts by upper bound, ascending; the last bound is +Inf.
type histogram struct {
	bounds []float64
	counts []float64
}

// since returns the counts added after an earlier reading, which may be empty.
func (h histogram) since(earlier histogram) histogram {
	d := histogram{h.bounds, slices.Clone(h.counts)}
	for i := range earlier.counts {
		d.counts[i] -= earlier.counts[i]
	}
	return d
}

func (h histogram) total() float64 { return h.counts[len(h.counts)-1] }

// quantile interpolates within its bucket, as Prometheus does; NaN when h is empty, an infinity
// in the last bucket.
func (h histogram) quantile(q float64) float64 {
	if h.total() == 0 {
		return math.NaN()
	}
	rank := q * h.total()
	i := slices.IndexFunc(h.counts, func(n float64) bool { return n >= rank })
	if math.IsInf(h.bounds[i], 1) {
		return math.Inf(1)
	}
	low, before := 0.0, 0.0
	if i > 0 {
		low, before = h.bounds[i-1], h.counts[i-1]
	}
	return low + (h.bounds[i]-low)*(rank-before)/(h.counts[i]-before)
}

// linearity is the share of y's variance that a line through the points explains (R²).
func linearity(x, y []float64) float64 {
	at0, slope := stat.LinearRegression(x, y, nil, false)
	return stat.RSquared(x, y, nil, at0, slope)
}
