package bench

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"gonum.org/v1/gonum/floats/scalar"
)

func TestSpread(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   spread
	}{
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{9, 1, 5}, spread{5, 1, 9}},
		{[]float64{4, 1, 2, 9}, spread{3, 1, 9}},
	} {
		given := slices.Clone(tc.values)
		assert.Equal(t, tc.want, spreadOf(tc.values), fmt.Sprint(given))
		assert.Equal(t, given, tc.values, "values after it")
	}
}

func TestCompare(t *testing.T) {
	want := comparison{"x", 2, spread{1.75, 1.5, 2}, spread{5.5, 3, 8}, spread{3, 2, 4}}
	assert.Equal(t, want, compare("x", 2, []float64{3, 8}, []float64{2, 4}), "comparison")
}

func TestQuantile(t *testing.T) {
	inf := math.Inf(1)
	bounds := []float64{.01, .05, .1, inf}
	for _, tc := range []struct {
		name           string
		counts, before []float64
		q, want        float64
	}{
		{"within the first bucket", []float64{100, 100, 100, 100}, nil, .5, .005},
		{"within a later one", []float64{90, 100, 100, 100}, nil, .95, .03},
		{"at a bound", []float64{99, 100, 100, 100}, nil, .99, .01},
		{"beyond the last bound", []float64{0, 0, 0, 10}, nil, .99, inf},
		{"nothing", []float64{0, 0, 0, 0}, nil, .5, math.NaN()},
		{"the difference", []float64{100, 200, 200, 200}, []float64{100, 100, 100, 100}, .5, .03},
	} {
		got := histogram{bounds, tc.counts}.since(histogram{bounds, tc.before}).quantile(tc.q)
		assert.True(t, scalar.Same(tc.want, got) || scalar.EqualWithinAbs(tc.want, got, 1e-9), "%s: got %v, want %v", tc.name, got, tc.want)
	}
}

func TestLinearity(t *testing.T) {
	assert.InDelta(t, 1, linearity([]float64{1, 2, 3}, []float64{5, 7, 9}), 1e-12, "a line")
	assert.Less(t, linearity([]float64{1, 2, 3, 4}, []float64{1, 4, 9, 100}), .8, "no line")
}
