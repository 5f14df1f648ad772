package scenario

import (
	"math"
	"sort"

	"gonum.org/v1/gonum/mathext"
)

// Range returns the inclusive range of counts that pass, of n observations. For a share it is the
// smallest range that contains a binomial count of that share with the stated confidence.
func (c Count) Range(n int) (low, high int) {
	switch {
	case c.All:
		return n, n
	case c.None:
		return 0, 0
	case c.PerRequest != nil:
		return *c.PerRequest * n, *c.PerRequest * n
	case c.Share != nil:
		tail := (1 - c.Confidence) / 2
		return lowest(n, *c.Share, tail), highest(n, *c.Share, tail)
	case c.ShareAtLeast != nil:
		return lowest(n, *c.ShareAtLeast, 1-c.Confidence), n
	case c.ShareAtMost != nil:
		return 0, highest(n, *c.ShareAtMost, 1-c.Confidence)
	}
	high = math.MaxInt
	if c.AtLeast != nil {
		low = *c.AtLeast
	}
	if c.AtMost != nil {
		high = *c.AtMost
	}
	return low, high
}

// lowest returns the largest k with P(X < k) <= tail, for X binomial.
func lowest(n int, p, tail float64) int {
	return sort.Search(n, func(k int) bool {
		return mathext.RegIncBeta(float64(n-k), float64(k+1), 1-p) > tail // the distribution function of X at k
	})
}

// highest returns the smallest k with P(X > k) <= tail.
func highest(n int, p, tail float64) int { return n - lowest(n, 1-p, tail) }
