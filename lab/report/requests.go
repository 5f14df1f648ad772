package report

import (
	"math"
	"slices"
	"time"

	"fleetman.example/lab/record"
)

// between are the requests, ordered by intended start, that were due from one
// moment until before another.
func between(requests []record.Request, from, until record.Moment) []record.Request {
	first := func(at record.Moment) int {
		i, _ := slices.BinarySearchFunc(requests, at, func(r record.Request, at record.Moment) int { return int(r.Intended - at) })
		return i
	}
	return requests[first(from):max(first(from), first(until))]
}

// hurt tells a request whose caller has been let down: no answer, or a late
// one. A degraded answer in time is not.
func hurt(r record.Request) bool { return r.Failed() || r.Latency() > Slow }

// notFresh tells a request whose caller did not get what a healthy fleet
// gives.
func notFresh(r record.Request) bool { return !r.Good() || r.Latency() > Slow }

func share(requests []record.Request, is func(record.Request) bool) float64 {
	if len(requests) == 0 {
		return 0
	}
	n := 0
	for _, r := range requests {
		if is(r) {
			n++
		}
	}
	return float64(n) / float64(len(requests))
}

func shares(requests []record.Request) (good, degraded, failed float64) {
	return share(requests, record.Request.Good),
		share(requests, func(r record.Request) bool { return !r.Good() && !r.Failed() }),
		share(requests, record.Request.Failed)
}

// quantile is the smallest latency that a share q of all do not exceed
// (nearest rank), in seconds; 0 of none.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[max(rank, 1)-1].Seconds()
}

// settled is the intended start of the first request from which on every
// window up to until has at most level of its requests wrong; false when the
// last one has more, or none fits. A window begins with each request.
func settled(requests []record.Request, from, until record.Moment, wrong func(record.Request) bool, level float64) (record.Moment, bool) {
	requests = between(requests, from, until)
	at, found := from, false
	for i, r := range requests {
		if r.Intended+record.Moment(Window) > until {
			break
		}
		if share(between(requests, r.Intended, r.Intended+record.Moment(Window)), wrong) > level {
			found = false
			continue
		}
		if !found && i > 0 {
			at = r.Intended
		}
		found = true
	}
	return at, found
}

// deliveries are the positions kept a second from one moment until another,
// and the longest time between two of one vehicle, in seconds, that has a part
// in it.
func deliveries(c *record.Cell, from, until record.Moment) (perSecond, longest float64) {
	byVehicle := map[string][]record.Moment{}
	n := 0
	for _, p := range c.Positions {
		byVehicle[p.Vehicle] = append(byVehicle[p.Vehicle], p.At)
		if p.At >= from && p.At < until {
			n++
		}
	}
	gap := record.Moment(0)
	for _, at := range byVehicle {
		slices.Sort(at)
		last := record.Moment(0)
		for _, next := range append(at, c.End) {
			if last < until && next > from {
				gap = max(gap, next-last)
			}
			last = next
		}
	}
	return float64(n) / seconds(until-from), seconds(gap)
}
