package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"fleetman.example/kit/fleet"
)

// vehicle drives a route. Its random numbers depend only on the seed and its number in the fleet, not on
// the fleet's size or on scheduling.
type vehicle struct {
	name  string
	route *route
	ahead time.Duration // where on its route it starts
	rng   *rand.Rand
}

// newFleet returns size vehicles: one per route, at its start, then "City Truck 2" and so on, elsewhere on
// the same routes.
func newFleet(routes []*route, size int, seed uint64) ([]*vehicle, error) {
	taken := map[string]bool{}
	for _, r := range routes {
		taken[r.Name] = true
	}
	number := make([]int, len(routes))
	vehicles := make([]*vehicle, size)
	for i := range vehicles {
		r := routes[i%len(routes)]
		v := &vehicle{name: r.Name, route: r, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		if i >= len(routes) {
			for n := &number[i%len(routes)]; taken[v.name]; *n++ { // a track may have such a name
				v.name = fmt.Sprintf("%s %d", r.Name, *n+2)
			}
			v.ahead = pointEvery + time.Duration(v.rng.Int64N(int64(r.period-pointEvery)))
		}
		if err := fleet.CheckName(v.name); err != nil {
			return nil, fmt.Errorf("vehicle %q of track %s: %w", v.name, r.File, err)
		}
		vehicles[i] = v
	}
	return vehicles, nil
}

// report returns the vehicle's position at a time since the fleet's start.
func (v *vehicle) report(since time.Duration, now time.Time) fleet.Position {
	p := v.route.at(v.ahead + since)
	return fleet.Position{Name: v.name, Lat: p.Lat, Lng: p.Lng, Timestamp: now}
}

// firstDue returns the time of the first report: uniform over one interval, so that vehicles do not report
// at the same time.
func (v *vehicle) firstDue(interval time.Duration) time.Duration {
	return time.Duration(v.rng.Int64N(int64(interval)))
}

// nextDue returns the time to the next report: uniform from 0.5 to 1.5 times the interval.
func (v *vehicle) nextDue(interval time.Duration) time.Duration {
	return interval/2 + time.Duration(v.rng.Int64N(int64(interval)+1))
}
