package report

import (
	"slices"

	"fleetman.example/lab/record"
	"fleetman.example/lab/stats"
)

// count counts the requests for which is holds.
func count(requests []record.Request, is func(record.Request) bool) stats.Count {
	c := stats.Count{N: float64(len(requests))}
	for _, r := range requests {
		if is(r) {
			c.K++
		}
	}
	return c
}

// oldest is the highest age of a last known answer.
func oldest(r *Run) *float64 {
	var highest *float64
	for _, request := range r.during {
		if age, _ := request.LastKnown(); isLastKnown(request) && (highest == nil || age.Seconds() > *highest) {
			highest = new(age.Seconds())
		}
	}
	return highest
}

// settled returns the intended start of the first request from which on every
// window up to until has at most a share level of wrong requests; ok is false
// when the last window has more, or none fits. A window begins with each
// request.
func settled(requests []record.Request, from, until record.Offset, wrong func(record.Request) bool, level float64) (at record.Offset, ok bool) {
	requests = record.Between(requests, from, until)
	at = from
	end, bad := 0, 0 // of the window, and in it
	for i, r := range requests {
		if r.Intended+record.Offset(Window) > until {
			break
		}
		for ; end < len(requests) && requests[end].Intended < r.Intended+record.Offset(Window); end++ {
			if wrong(requests[end]) {
				bad++
			}
		}
		if i > 0 && wrong(requests[i-1]) {
			bad--
		}
		if float64(bad)/float64(end-i) > level {
			ok = false
			continue
		}
		if !ok && i > 0 {
			at = r.Intended
		}
		ok = true
	}
	return at, ok
}

// deliveries returns the positions kept per second from one offset until
// another, and the longest time between two of one vehicle, in seconds, that has
// a part in it.
func deliveries(c *record.Run, from, until record.Offset) (perSecond, longest float64) {
	byVehicle := map[string][]record.Offset{}
	n := 0
	for _, p := range c.Positions {
		byVehicle[p.Vehicle] = append(byVehicle[p.Vehicle], p.At)
		if p.At >= from && p.At < until {
			n++
		}
	}
	gap := record.Offset(0)
	for _, at := range byVehicle {
		slices.Sort(at)
		last := record.Offset(0)
		for _, next := range append(at, c.End) {
			if last < until && next > from {
				gap = max(gap, next-last)
			}
			last = next
		}
	}
	return float64(n) / seconds(until-from), seconds(gap)
}
