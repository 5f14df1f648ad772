package main

import "math"

// stride returns points on the track at equal distances of step metres. The next point is where the track
// first leaves the circle of that radius around the current one. So distances are equal in a straight
// line, from which a vehicle's speed is computed; repeated points, and the jitter of a receiver that
// stands still, are within the circle; and a gap in the recording is filled with equal steps. The rest at
// the end, less than a step, is dropped.
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

// leave returns the point where the line from a to b leaves the circle around at, if it does.
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
	reach   = 12.0 // metres; closer points are on the same road, by the accuracy of a GPS receiver
	cutMost = 0.05 // largest share of the track that may be cut off to close the loop
)

// closeLoop cuts a track where its beginning and its end pass each other, so that a vehicle that starts
// again does not jump. It cuts off as little as possible, nothing if there is no such place near the ends,
// and returns how much, in metres.
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
			// Minimise the sum of the length that is cut off and the remaining jump.
			if hop := metres(s[i], s[j]); hop <= reach && along[i]+total-along[j]+hop < least {
				least = along[i] + total - along[j] + hop
				first, last = i, j
			}
		}
	}
	return s[first : last+1], along[first] + total - along[last]
}
