// Package load sends requests at a steady pace whatever becomes of them (an
// open loop), as many callers who do not know of each other do: a stall delays
// answers, never the requests after it.
package load

import (
	"math"
	"time"
)

// Pace is requests a second.
type Pace float64

// Due is when request n, from 0, is to be sent, counted from the start.
func (p Pace) Due(n int) time.Duration {
	return time.Duration(math.Round(float64(n) / float64(p) * float64(time.Second)))
}

// Wait is how long to wait, elapsed after the start and with n requests sent,
// for the next one; 0 when it is due or late.
func (p Pace) Wait(elapsed time.Duration, n int) time.Duration {
	return max(0, p.Due(n)-elapsed)
}

// Count is how many requests are due within d, the first of them at once.
func (p Pace) Count(d time.Duration) int {
	n := int(float64(p) * d.Seconds())
	for p.Due(n) < d {
		n++
	}
	return n
}
