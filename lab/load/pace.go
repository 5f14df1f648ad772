package load

import (
	"math"
	"time"
)

// Pace is a rate in requests per second.
type Pace float64

// Due returns the intended start of request n, counted from 0.
func (p Pace) Due(n int) time.Duration { return Rates{{From: float64(p), To: float64(p)}}.Due(n) }

// Rates is a rate that changes over time, in consecutive parts. After the last part its To stays the rate.
type Rates []Part

// Part is a rate, in requests per second, that changes linearly from From to To within For.
type Part struct {
	From, To float64
	For      time.Duration
}

// Due returns the intended start of request n, counted from 0: the time until which the integral of the rate
// is n.
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

// after returns the time, in seconds, until n requests are due: the root of
// FROM t + (TO - FROM) t² / 2 FOR = n.
func (p Part) after(n float64) float64 {
	slope := (p.To - p.From) / p.For.Seconds()
	return 2 * n / (p.From + math.Sqrt(p.From*p.From+2*slope*n))
}

func seconds(s float64) time.Duration {
	return time.Duration(math.Round(s * float64(time.Second)))
}

// Schedule has the intended starts of a load's requests.
type Schedule interface {
	// Due returns the intended start of request n, counted from 0.
	Due(n int) time.Duration
}

// Count returns the number of requests that are due within d. The first is due at 0.
func Count(s Schedule, d time.Duration) (n int) {
	for s.Due(n) < d {
		n++
	}
	return n
}
