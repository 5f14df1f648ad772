package report

import (
	"maps"
	"math"
	"slices"
	"time"

	"fleetman.example/lab/record"
)

// between are the requests, ordered by intended start, that were due from one
// offset until before another.
func between(requests []record.Request, from, until record.Offset) []record.Request {
	first := func(at record.Offset) int {
		i, _ := slices.BinarySearchFunc(requests, at, func(r record.Request, at record.Offset) int { return int(r.Intended - at) })
		return i
	}
	return requests[first(from):max(first(from), first(until))]
}

// violatesSLO reports whether a request failed or was slow. A degraded answer in
// time does not violate the SLO.
func violatesSLO(r record.Request) bool { return r.Failed() || r.Latency() > Slow }

// violatesSLOOrDegraded reports whether the answer was less than a healthy
// fleet's.
func violatesSLOOrDegraded(r record.Request) bool { return !r.Good() || r.Latency() > Slow }

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

// routes splits the requests by route, if there are several.
func routes(requests []record.Request) (all []Route) {
	byName := map[string][]record.Request{}
	for _, r := range requests {
		byName[r.Route] = append(byName[r.Route], r)
	}
	if len(byName) < 2 {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		r := Route{Name: name, Requests: len(byName[name])}
		r.Good, r.Degraded, r.Failed = shares(byName[name])
		all = append(all, r)
	}
	return all
}

// lastKnown describes the answers from the last known one.
func lastKnown(requests []record.Request) Ages {
	var ages []time.Duration
	for _, r := range requests {
		if age, ok := r.LastKnown(); ok && !r.Failed() {
			ages = append(ages, age)
		}
	}
	if len(ages) == 0 {
		return Ages{}
	}
	slices.Sort(ages)
	return Ages{float64(len(ages)) / float64(len(requests)), quantile(ages, .5), quantile(ages, 1)}
}

// quantiles of the latencies.
func quantiles(requests []record.Request) (p50, p99, p999 float64) {
	latencies := make([]time.Duration, len(requests))
	for i, request := range requests {
		latencies[i] = request.Latency()
	}
	slices.Sort(latencies)
	return quantile(latencies, .5), quantile(latencies, .99), quantile(latencies, .999)
}

// quantile is the smallest value that a share q of all do not exceed (nearest
// rank), in seconds; 0 of none.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[max(rank, 1)-1].Seconds()
}

// settled returns the intended start of the first request from which on every
// window up to until has at most a share level of wrong requests; ok is false
// when the last window has more, or none fits. A window begins with each
// request.
func settled(requests []record.Request, from, until record.Offset, wrong func(record.Request) bool, level float64) (at record.Offset, ok bool) {
	requests = between(requests, from, until)
	at = from
	for i, r := range requests {
		if r.Intended+record.Offset(Window) > until {
			break
		}
		if share(between(requests, r.Intended, r.Intended+record.Offset(Window)), wrong) > level {
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
