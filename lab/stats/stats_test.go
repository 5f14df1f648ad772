package stats

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

// assertNear fails the test unless both ends of an interval are within a distance of those that it must have.
func assertNear(t *testing.T, what any, got Interval, low, high, within float64) {
	t.Helper()
	assert.InDeltaSlice(t, []float64{low, high}, []float64{got.Low, got.High}, within, what)
}

// TestShare: R. G. Newcombe, "Two-sided confidence intervals for the single
// proportion: comparison of seven methods", Statistics in Medicine 17 (1998),
// 857-872, table I, method 3 (score).
func TestShare(t *testing.T) {
	for _, test := range []struct{ k, n, low, high float64 }{
		{81, 263, .2553, .3662},
		{15, 148, .0624, .1605},
		{0, 20, 0, .1611},
		{1, 29, .0061, .1718},
	} {
		assertNear(t, test, Share(Count{test.k, test.n}, .95), test.low, test.high, 5e-5)
	}
	all := Share(Count{20, 20}, .95)
	assertNear(t, "20 of 20", all, 1-.1611, 1, 5e-5)
	assert.Equal(t, 1.0, all.High, "20 of 20")
	assert.Equal(t, (Interval{0, 1}), Share(Count{}, .95), "0 of 0")
}

// TestShareDifference: R. G. Newcombe, "Interval estimation for the difference
// between independent proportions: comparison of eleven methods", Statistics
// in Medicine 17 (1998), 873-890, table II, method 10.
func TestShareDifference(t *testing.T) {
	for _, test := range []struct {
		a, b      Count
		low, high float64
	}{
		{Count{56, 70}, Count{48, 80}, .0524, .3339},
		{Count{9, 10}, Count{3, 10}, .1705, .8090},
		{Count{6, 7}, Count{2, 7}, .0582, .8062},
		{Count{5, 56}, Count{0, 29}, -.0381, .1926},
		{Count{0, 10}, Count{0, 20}, -.1611, .2775},
		{Count{0, 10}, Count{0, 10}, -.2775, .2775},
		{Count{10, 10}, Count{0, 20}, .6791, 1},
	} {
		assertNear(t, test, ShareDifference(test.a, test.b, .95), test.low, test.high, 5e-5)
	}
}

// TestMean: the additional hours of sleep of ten patients, paired (Student,
// "The probable error of a mean", Biometrika 6, 1908, page 20); the interval
// is that of R's help page of t.test for its data set sleep.
func TestMean(t *testing.T) {
	first := []float64{.7, -1.6, -.2, -1.2, -.1, 3.4, 3.7, .8, 0, 2}
	second := []float64{1.9, .8, 1.1, .1, -.1, 4.4, 5.5, 1.6, 4.6, 3.4}
	var differences []float64
	for i := range first {
		differences = append(differences, second[i]-first[i])
	}
	mean, got, ok := Mean(differences, .95)
	assert.Equal(t, true, ok, "ten values have an interval")
	assertNear(t, "mean", Interval{mean, mean}, 1.58, 1.58, 1e-9)
	assertNear(t, "interval", got, .7001142, 2.4598858, 1e-7)
	mean, _, ok = Mean([]float64{7}, .95)
	assert.Equal(t, 7.0, mean, "mean of one value")
	assert.Equal(t, false, ok, "one value has an interval")
	_, _, ok = Mean(nil, .95)
	assert.Equal(t, false, ok, "no value has an interval")
}

// TestQuantile: the ranks of a median's interval are those of the sign test,
// the critical value and one (J. H. Zar, "Biostatistical Analysis", table
// B.27, two-sided 0.05).
func TestQuantile(t *testing.T) {
	for n, critical := range map[int]int{6: 0, 8: 0, 9: 1, 11: 1, 12: 2, 15: 3, 17: 4, 20: 5, 25: 7, 30: 9, 35: 11, 40: 13, 50: 17, 60: 21, 100: 39} {
		var values []float64
		for i := range n {
			values = append(values, float64(i+1))
		}
		median, got, ok := NewSample(values).Quantile(.5, .95)
		assert.True(t, ok, "median of %d has an interval", n)
		assert.Equal(t, Interval{float64(critical + 1), float64(n - critical)}, got, "interval of the median of %d", n)
		assert.Equal(t, math.Ceil(float64(n)/2), median, "median of %d", n)
	}
	_, _, ok := NewSample([]float64{1, 2, 3, 4, 5}).Quantile(.5, .95)
	assert.Equal(t, false, ok, "five values have an interval for the median")
}

// TestSupports: the smallest sample whose largest value is an upper limit of
// a quantile with a one-sided confidence of 0.95 (S. S. Wilks, "Determination
// of sample sizes for setting tolerance limits", Annals of Mathematical
// Statistics 12, 1941): 59 for 0.95, 299 for 0.99, 2 995 for 0.999.
func TestSupports(t *testing.T) {
	supports := func(n int, q, confidence float64) bool {
		_, _, ok := NewSample(make([]float64, n)).Quantile(q, confidence)
		return ok
	}
	for q, n := range map[float64]int{.95: 59, .99: 299, .999: 2995} {
		assert.Equal(t, []bool{false, true}, []bool{supports(n-1, q, .9), supports(n, q, .9)}, "%v: must need %d", q, n)
	}
	assert.Equal(t, []bool{false, true}, []bool{supports(367, .99, .95), supports(368, .99, .95)}, "two-sided: 0.99 must need 368")
	assert.False(t, supports(0, .5, .95), "without values")
}

func TestPool(t *testing.T) {
	alike, effective := Pool([]Count{{15, 150}, {14, 150}, {16, 150}})
	assert.Equal(t, []Count{{45, 450}, {45, 450}}, []Count{alike, effective}, "runs that differ by chance")
	// Two runs, all and none: one observation each.
	_, effective = Pool([]Count{{0, 100}, {100, 100}})
	assert.InDeltaSlice(t, []float64{.5, 1}, []float64{effective.K, effective.N}, 1e-9, "runs that differ wholly")
	none, effective := Pool([]Count{{0, 10}, {0, 10}})
	assert.Equal(t, []Count{{0, 20}, {0, 20}}, []Count{none, effective}, "nothing counted")
}

func TestPairedShares(t *testing.T) {
	a := []Count{{30, 100}, {50, 100}, {70, 100}}
	b := []Count{{20, 100}, {40, 100}, {60, 100}}
	// Each pair differs by 0.1, though the seeds differ by more: the pooled
	// counts alone decide nothing.
	got := PairedShares(a, b, [2]float64{1, 1}, .95)
	assert.True(t, got.Contains(0) && got.Contains(.1), "got %+v", got)
	same := []Count{{50, 100}, {50, 100}, {50, 100}}
	more := []Count{{90, 100}, {91, 100}, {89, 100}}
	got = PairedShares(more, same, [2]float64{1, 1}, .95)
	assert.True(t, got.Low > .3 && got.High < .5, "got %+v", got)
}

// TestNeeded: a share that was measured with as many requests as needed is
// decided, with one fewer it is not.
func TestNeeded(t *testing.T) {
	for _, test := range []struct{ share, bound float64 }{{1, .998}, {.995, .998}, {.5, .51}, {0, .01}} {
		n := float64(Needed(test.share, test.bound, .95))
		undecided := func(n float64) bool { return Share(Count{test.share * n, n}, .95).Contains(test.bound) }
		assert.Equal(t, []bool{true, false}, []bool{undecided(n - 1), undecided(n)}, "%v against %v: got %v", test.share, test.bound, n)
	}
	assert.Equal(t, 0, Needed(.5, .5, .95), "at the bound")
}

// TestQuantileOfRuns: runs that are alike are one sample; of those that differ wholly,
// each is one value.
func TestQuantileOfRuns(t *testing.T) {
	var all []float64
	runs := make([][]float64, 10)
	for i := range 1000 {
		all = append(all, float64(i))
		runs[i%10] = append(runs[i%10], float64(i))
	}
	_, want, _ := NewSample(all).Quantile(.9, .95)
	value, got, ok := NewSample(runs...).Quantile(.9, .95)
	assert.Equal(t, []any{899.0, want, true}, []any{value, got, ok}, "runs that are alike")

	for i := range 10 {
		runs[i] = all[i*100 : (i+1)*100] // each is above the one before
	}
	_, got, ok = NewSample(runs...).Quantile(.5, .95)
	assert.True(t, ok && got.Low < 250 && got.High > 750, "runs that differ wholly: %+v", got)
	_, _, ok = NewSample(runs...).Quantile(.99, .95)
	assert.False(t, ok, "ten values have an interval for 0.99")
}
