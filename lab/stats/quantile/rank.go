// Package quantile has the definition of a quantile that all figures share.
package quantile

import "math"

// Rank is the nearest rank of a quantile q of n sorted values, from 1 to n.
func Rank(n int, q float64) int {
	return min(max(int(math.Ceil(q*float64(n)-1e-9)), 1), n)
}
