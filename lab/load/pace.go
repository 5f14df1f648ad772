package load

import (
	"math"
	"time"
)

// Pace is a rate in requests per second.
type Pace float64

// Due is the intended start of request n, which counts from 0.
func (p Pace) Due(n int) time.Duration { return Rates{{From: float64(p), To: float64(p)}}.Due(n) }

// Rates are a rate that changes, part by part.
type Rates []Part

// Part is a rate that changes evenly, from one number of requests per second to
// another. The last part's To is the rate of all that follows.
type Part struct {
	From, To float64
	For      time.Duration
}

// Due is the intended start of request n, which counts from 0: the time at which
// the sum of the rate is n.
func (r Rates) Due(n int) time.Duration {
	begin, left := time.Duration(0), float64(n)
	for i, part := range r {
		long := part.For.Seconds()
		all := (part.From + part.To) / 2 * long
		if left < all {
			return begin + seconds(part.after(left))
		}
		begin, left = begin+part.For, left-all
		if i == len(r)-1 {
			return begin + seconds(left/part.To)
		}
	}
	return begin
}

// after is how long the part takes for so many requests: the root of
// FROM t + (TO - FROM) t² / 2 FOR = n.
func (p Part) after(n float64) float64 {
	slope := (p.To - p.From) / p.For.Seconds()
	return 2 * n / (p.From + math.Sqrt(p.From*p.From+2*slope*n))
}

func seconds(s float64) time.Duration {
	return time.Duration(math.Round(s * float64(time.Second)))
}

// Schedule is the intended starts of a load's requests.
type Schedule interface {
	// Due is the intended start of request n, which counts from 0.
	Due(n int) time.Duration
}

// Wait is how long to wait, elapsed after the start and with n requests sent,
// for the next one; 0 when it is due or late.
func Wait(s Schedule, elapsed time.Duration, n int) time.Duration { return max(0, s.Due(n)-elapsed) }

// Count is the number of requests that are due within d; the first is due at
// once.
func Count(s Schedule, d time.Duration) (n int) {
	for s.Due(n) < d {
		n++
	}
	return n
}
