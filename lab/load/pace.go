package load

import (
	"math"
	"time"
)

// Pace is a rate in requests per second.
type Pace float64

// Due is the intended start of request n, which counts from 0.
func (p Pace) Due(n int) time.Duration {
	return time.Duration(math.Round(float64(n) / float64(p) * float64(time.Second)))
}

// Wait is how long to wait, elapsed after the start and with n requests sent,
// for the next one; 0 when it is due or late.
func (p Pace) Wait(elapsed time.Duration, n int) time.Duration {
	return max(0, p.Due(n)-elapsed)
}

// Count is the number of requests that are due within d; the first is due at
// once.
func (p Pace) Count(d time.Duration) int {
	n := int(float64(p) * d.Seconds())
	for p.Due(n) < d {
		n++
	}
	return n
}
