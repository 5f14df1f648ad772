package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"fleetman.example/kit/fleet"
)

// vehicle drives a route. All of its chance comes from the seed and its number
// in the fleet, so that neither the fleet's size nor the order in which
// vehicles wake changes what it does.
type vehicle struct {
	name  string
	route *route
	ahead time.Duration // how far along its route it starts
	rng   *rand.Rand
}

// newFleet makes size vehicles: first one for each route, at its start, then
// "City Truck 2" and so on, elsewhere on the same routes.
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
			for n := &number[i%len(routes)]; taken[v.name]; *n++ { // a track may bear such a name itself
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

// report is where the vehicle is, some time after the fleet started.
func (v *vehicle) report(since time.Duration, now time.Time) fleet.Position {
	p := v.route.at(v.ahead + since)
	return fleet.Position{Name: v.name, Lat: p.Lat, Lng: p.Lng, Timestamp: now}
}

// firstDue spreads the fleet's first reports over one interval, so that a
// large fleet does not report in step.
func (v *vehicle) firstDue(interval time.Duration) time.Duration {
	return time.Duration(v.rng.Int64N(int64(interval)))
}

// nextDue is drawn evenly from half to one and a half times the interval.
func (v *vehicle) nextDue(interval time.Duration) time.Duration {
	return interval/2 + time.Duration(v.rng.Int64N(int64(interval)+1))
}
