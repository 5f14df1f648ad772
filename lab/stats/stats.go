// Package stats computes the intervals of a report's figures. The
// distributions are gonum's; each method is checked against a published table.
//
// An interval is two-sided: with a confidence of 0.95 each of its ends is
// wrong in 2.5 % of all samples.
package stats

import (
	"math"
	"slices"
	"sort"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"fleetman.example/lab/stats/quantile"
)

// Confidence is the one of every figure that does not ask for another.
const Confidence = .95

// Interval holds the true value with a given confidence.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Contains reports whether v is within the interval.
func (i Interval) Contains(v float64) bool { return i.Low <= v && v <= i.High }

// hull is the smallest interval that contains both.
func (i Interval) hull(other Interval) Interval {
	return Interval{min(i.Low, other.Low), max(i.High, other.High)}
}

func (i Interval) scaled(by float64) Interval { return Interval{i.Low * by, i.High * by} }

// Count is K of N, of one run.
type Count struct{ K, N float64 }

// Share is K/N, and 0 of nothing.
func (c Count) Share() float64 {
	if c.N == 0 {
		return 0
	}
	return c.K / c.N
}

// Pool adds up the counts of several runs. N is the effective number: where
// runs differ more than chance within them explains, their requests are not
// independent, and N and K are divided by the design effect (J. N. K. Rao and
// A. J. Scott, "A simple method for the analysis of clustered binary data",
// Biometrics 48, 1992).
func Pool(runs []Count) (pooled, effective Count) {
	for _, c := range runs {
		pooled.K, pooled.N = pooled.K+c.K, pooled.N+c.N
	}
	p, m := pooled.Share(), float64(len(runs))
	if m < 2 || p == 0 || p == 1 || pooled.N == 0 {
		return pooled, pooled
	}
	between := 0.0
	for _, c := range runs {
		d := c.K - c.N*p
		between += d * d
	}
	effect := max(1, between*m/(m-1)/(pooled.N*p*(1-p)))
	return pooled, Count{pooled.K / effect, pooled.N / effect}
}

// Share returns the Wilson score interval of a share.
func Share(c Count, confidence float64) Interval {
	if c.N <= 0 {
		return Interval{0, 1}
	}
	z := distuv.UnitNormal.Quantile((1 + confidence) / 2)
	p, z2 := c.Share(), z*z/c.N
	center, half := p+z2/2, math.Sqrt(z2*(p*(1-p)+z2/4))
	i := Interval{(center - half) / (1 + z2), (center + half) / (1 + z2)}
	if c.K == 0 {
		i.Low = 0 // not a rounding error's 1e-17
	}
	if c.K == c.N {
		i.High = 1
	}
	return i
}

// ShareDifference returns the interval of a's share less b's, of independent
// samples: the score method (R. G. Newcombe, "Interval estimation for the
// difference between independent proportions", Statistics in Medicine 17,
// 1998, method 10).
func ShareDifference(a, b Count, confidence float64) Interval {
	return scaledDifference(a, b, [2]float64{1, 1}, confidence)
}

// scaledDifference is of shares that are multiplied by a scale each.
func scaledDifference(a, b Count, scales [2]float64, confidence float64) Interval {
	p, q := scales[0]*a.Share(), scales[1]*b.Share()
	mine, others := Share(a, confidence).scaled(scales[0]), Share(b, confidence).scaled(scales[1])
	return Interval{
		p - q - math.Hypot(p-mine.Low, others.High-q),
		p - q + math.Hypot(mine.High-p, q-others.Low),
	}
}

// Mean returns the mean of independent values and Student's interval of it; ok
// is false below two values, which have none.
func Mean(values []float64, confidence float64) (mean float64, i Interval, ok bool) {
	if len(values) == 0 {
		return 0, i, false
	}
	if len(values) == 1 {
		return values[0], i, false
	}
	n := float64(len(values))
	mean, deviation := stat.MeanStdDev(values, nil)
	half := distuv.StudentsT{Sigma: 1, Nu: n - 1}.Quantile((1+confidence)/2) * deviation / math.Sqrt(n)
	return mean, Interval{mean - half, mean + half}, true
}

// PairedShares returns the interval of the difference of shares that are paired, run by
// run, each multiplied by its arm's scale. Three pairs or more have Student's interval,
// which covers what differs from run to run; that of the pooled counts, which covers
// chance within the runs, is in it, and so is their difference. Fewer pairs have the
// latter alone. A run of which nothing was counted has no pair.
func PairedShares(a, b []Count, scales [2]float64, confidence float64) Interval {
	_, mine := Pool(a)
	_, others := Pool(b)
	i := scaledDifference(mine, others, scales, confidence)
	var differences []float64
	for n := range min(len(a), len(b)) {
		if a[n].N > 0 && b[n].N > 0 {
			differences = append(differences, scales[0]*a[n].Share()-scales[1]*b[n].Share())
		}
	}
	if len(differences) < FewestPairs {
		return i
	}
	_, paired, _ := Mean(differences, confidence)
	return i.hull(paired)
}

// FewestPairs have an interval of their own that is of use: Student's
// factor is 12.7 for two, 4.3 for three.
const FewestPairs = 3

// Sample is the values of one or more runs.
type Sample struct {
	Sorted []float64 // all values
	runs   [][]float64
}

// NewSample returns the sample of the values of each run.
func NewSample(runs ...[]float64) Sample {
	s := Sample{slices.Concat(runs...), runs}
	slices.Sort(s.Sorted)
	return s
}

// AtMost counts the values of each run that do not exceed a limit.
func (s Sample) AtMost(limit float64) (counts []Count) {
	for _, run := range s.runs {
		c := Count{N: float64(len(run))}
		for _, v := range run {
			if v <= limit {
				c.K++
			}
		}
		counts = append(counts, c)
	}
	return counts
}

// Quantile returns the nearest-rank quantile, and its distribution-free interval,
// between two of the values. ok is false when the sample is too small to have one: 368
// values of one run for the 0.99 quantile with a confidence of 0.95. Where runs differ,
// the ranks are those of the effective number of values, by the design effect of the
// share that does not exceed the quantile (R. S. Woodruff, "Confidence intervals for
// medians and other position measures", Journal of the American Statistical
// Association 47, 1952; the effect as in Pool).
func (s Sample) Quantile(q, confidence float64) (value float64, i Interval, ok bool) {
	n := len(s.Sorted)
	if n == 0 {
		return 0, i, false
	}
	value = s.Sorted[quantile.Rank(n, q)-1]
	_, effective := Pool(s.AtMost(value))
	of := int(effective.N + 1e-9)
	low, high := ranks(of, q, confidence)
	if low < 1 || high > of {
		return value, i, false
	}
	each := float64(n) / float64(of) // values that are worth an independent one
	first, last := int(float64(low-1)*each+1e-9), min(int(math.Ceil(float64(high)*each-1e-9)), n)-1
	return value, Interval{s.Sorted[first], s.Sorted[last]}, true
}

// ranks are those of the values between which the quantile is. The number of
// values below the quantile is binomial.
func ranks(n int, q, confidence float64) (low, high int) {
	below := distuv.Binomial{N: float64(n), P: q}
	tail := (1 - confidence) / 2
	low = sort.Search(n, func(k int) bool { return below.CDF(float64(k)) > tail })
	high = 1 + sort.Search(n, func(k int) bool { return below.CDF(float64(k)) >= 1-tail })
	return low, high
}

// Needed is how many requests decide whether a share is above or below a
// bound, if the share stays as it is: the fewest with an interval that does
// not contain the bound; 0 when no number up to a hundred million does.
func Needed(share, bound, confidence float64) int {
	decided := func(n int) bool {
		return !Share(Count{share * float64(n), float64(n)}, confidence).Contains(bound)
	}
	const most = 100_000_000
	if !decided(most) {
		return 0
	}
	return sort.Search(most, decided)
}
