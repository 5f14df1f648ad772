package main

import "math"

// stride walks along the track with a pair of dividers set to step metres:
// the next point is where the track first leaves the circle around this one.
// So every step is even as the crow flies, which is what a vehicle's speed is
// computed from; repeated points and the jitter of a receiver that stands
// still vanish within the circle, and a gap in the recording is crossed in
// even steps. What remains at the end is less than a step and is left off.
func stride(s []spot, step float64) []spot {
	at := s[0]
	even := []spot{at}
	for i := 1; i < len(s); {
		next, ok := leave(at, s[i-1], s[i], step)
		if !ok {
			i++
			continue
		}
		at = next
		even = append(even, at)
	}
	return even
}

// leave finds where the way from a to b leaves the circle around at.
func leave(at, a, b spot, step float64) (spot, bool) {
	p := planeAt(at)
	bx, by := p.xy(b)
	if math.Hypot(bx, by) < step {
		return spot{}, false
	}
	ax, ay := p.xy(a)
	dx, dy := bx-ax, by-ay
	// |a + t(b-a)| = step; of the two solutions the later one is outward.
	qa, qb, qc := dx*dx+dy*dy, ax*dx+ay*dy, ax*ax+ay*ay-step*step
	t := (-qb + math.Sqrt(qb*qb-qa*qc)) / qa
	return spot{a.lat + t*(b.lat-a.lat), a.lng + t*(b.lng-a.lng)}, true
}

const (
	reach   = 12.0 // metres; two passes so close are the same road to a GPS receiver
	cutMost = 0.05 // share of the track that may go to close the loop
)

// closeLoop cuts a track where its beginning and its end pass each other, so
// that a journey that restarts does not jump. It leaves off as little as it
// can, nothing when no such place is near the ends, and says how many metres.
func closeLoop(s []spot) (loop []spot, cut float64) {
	along := make([]float64, len(s))
	for i := 1; i < len(s); i++ {
		along[i] = along[i-1] + metres(s[i-1], s[i])
	}
	total := along[len(s)-1]
	least := cutMost * total
	first, last := 0, len(s)-1
	for i := 0; along[i] <= least; i++ {
		for j := len(s) - 1; along[i]+total-along[j] <= least; j-- {
			// What is left off and the hop that remains count alike.
			if hop := metres(s[i], s[j]); hop <= reach && along[i]+total-along[j]+hop < least {
				least = along[i] + total - along[j] + hop
				first, last = i, j
			}
		}
	}
	return s[first : last+1], along[first] + total - along[last]
}
