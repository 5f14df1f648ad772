// Package loader sends the load of an experiment: from this process or, in parts, from pods of a cluster.
package loader

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/load"
)

// Plan is a load, or one of several parts that make it together.
type Plan struct {
	experiment.Load
	// Host is that of the requests, with its port.
	Host string `json:"host"`
	// Address is where connections go. Defaults to Host.
	Address string     `json:"address,omitempty"`
	Rates   load.Rates `json:"rates"`
	// Lasts is how long requests are due.
	Lasts time.Duration `json:"lasts"`
	// Names are the vehicles that replace {vehicle}, in turn.
	Names []string `json:"names,omitempty"`
	// Check is the first part of each request's X-Fleetman-Check. Its number follows. Empty: it has none.
	Check string `json:"check"`
	// Of Parts, which is at least 1, Part sends the requests whose number has the remainder Part.
	Part  int `json:"part"`
	Parts int `json:"parts"`
}

// Request is a request of the load. N is its number in the whole load.
type Request = load.Request[Outcome]

// Dial connects to an address.
type Dial = func(ctx context.Context, network, address string) (net.Conn, error)

// Run sends the part's requests, and returns them when all have ended.
func (p Plan) Run(ctx context.Context, dial Dial) []Request {
	s := NewSender(p.client(dial), p)
	number := func(n int) int { return n*p.Parts + p.Part }
	most := (p.MaxInFlight + p.Parts - 1) / p.Parts
	requests := load.Run(ctx, load.Plan{Schedule: part{p}, Duration: p.Lasts, MaxInFlight: most}, func(ctx context.Context, n int) Outcome {
		return s.Send(ctx, number(n))
	})
	for i := range requests {
		requests[i].N = number(requests[i].N)
	}
	return requests
}

// part is the schedule of a part: the requests of all parts are due when those of one load would be.
type part struct{ Plan }

// Due implements load.Schedule.
func (p part) Due(n int) time.Duration { return p.Rates.Due(n*p.Parts + p.Part) }

// Split returns the parts of a load.
func (p Plan) Split(parts int) (all []Plan) {
	for i := range parts {
		one := p
		one.Part, one.Parts = i, parts
		all = append(all, one)
	}
	return all
}

// Join returns the requests of all parts by their intended starts. Every request that is due must be there
// once.
func (p Plan) Join(parts ...[]Request) ([]Request, error) {
	all := slices.Concat(parts...)
	slices.SortFunc(all, func(a, b Request) int { return cmp.Compare(a.N, b.N) })
	if due := load.Count(p.Rates, p.Lasts); len(all) != due {
		return nil, fmt.Errorf("load: %d requests: must be %d", len(all), due)
	}
	for n := range all {
		if all[n].N != n {
			return nil, fmt.Errorf("load: request %d: must be there once", min(n, all[n].N))
		}
	}
	return all, nil
}
