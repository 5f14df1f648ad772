package bench

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// chain compares the CPU of one position report, summed over tracker, telemetry and staff, with
// plain handlers that make the same hops.
func (b *bench) chain(ctx context.Context, r *Result) error {
	ours, err := b.trackerChain(ctx)
	defer func() { ours.stop() }()
	if err != nil {
		return err
	}
	bare, err := b.plainChain(ctx)
	defer func() { bare.stop() }()
	if err != nil {
		return err
	}
	var numbers [connections]reports // each subject gets new reports, every connection its own vehicles
	cost, err := b.rounds(ctx, []group{ours, bare}, func(conn int) func([]byte) []byte {
		numbers[conn].conn = conn
		return numbers[conn].append
	})
	if err != nil {
		return err
	}
	r.cpu = append(r.cpu, compare("position chain, CPU per report to plain handlers'", targetChain, cost[0], cost[1]))
	return nil
}

// starter starts a program, whose upstreams are at addrs.
type starter func(role string, addrs ...string) (*subject, error)

// startChain starts the processes that a report passes through; the first one receives it.
func startChain(start starter) (g group, err error) {
	for _, role := range []string{"telemetry", "staff"} {
		upstream, err := start(role)
		if err != nil {
			return g, err
		}
		g = append(g, upstream)
	}
	tracker, err := start("tracker", g[0].addr, g[1].addr)
	if err != nil {
		return g, err
	}
	return slices.Insert(g, 0, tracker), nil
}

// trackerChain is startChain of the services.
func (b *bench) trackerChain(ctx context.Context) (group, error) {
	return startChain(func(role string, addrs ...string) (*subject, error) {
		switch role {
		case "telemetry":
			return b.service(ctx, "vehicle-telemetry")
		case "staff":
			return b.service(ctx, "staff-service")
		}
		return b.service(ctx, "position-tracker", "VEHICLE_TELEMETRY_URL="+addrs[0], "STAFF_SERVICE_URL="+addrs[1])
	})
}

// plainChain is startChain of plain handlers.
func (b *bench) plainChain(ctx context.Context) (group, error) {
	return startChain(func(role string, addrs ...string) (*subject, error) { return b.plain(ctx, role, addrs...) })
}

// vehiclesEach is the number of vehicles that a connection reports for, in turn.
const vehiclesEach = 64

// reports generates the reports of one connection. Each vehicle drives north at 11 m a second (25 mph),
// so that no two reports are equal and every speed is known.
type reports struct {
	conn, made int
	body       []byte
}

var firstReport = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

func (r *reports) append(b []byte) []byte {
	vehicle, step := r.conn*vehiclesEach+r.made%vehiclesEach, r.made/vehiclesEach
	r.made++
	// as many digits as the recorded tracks have
	r.body = fmt.Appendf(r.body[:0], `{"name":"City Truck %d","lat":%d.%07d5238452266693115234375,"lng":-1.484639234840869903564453125,"timestamp":"`,
		vehicle+2, 50+step/10_000%20, step%10_000*1000)
	r.body = firstReport.Add(time.Duration(step)*time.Second).AppendFormat(r.body, "2006-01-02T15:04:05.000-0700")
	r.body = append(r.body, `","speed":null}`...)
	b = append(b, "POST /vehicles/ HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(r.body)), 10)
	return append(append(b, "\r\n\r\n"...), r.body...)
}
