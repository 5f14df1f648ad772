package bench

import (
	"context"
	"fmt"
	"time"
)

const driverPath = "/vehicles/driver/City%20Truck"

// gateway compares the CPU of one look-up of a driver: api-gateway, without and with the resilience
// chain, a plain handler that makes the same call, and httputil.ReverseProxy, all with the same upstream.
func (b *bench) gateway(ctx context.Context, r *Result) error {
	var all group
	defer func() { all.stop() }()
	staff, err := b.plain(ctx, "staff")
	if err != nil {
		return err
	}
	all = append(all, staff)
	var subjects []group
	for _, begin := range []func() (*subject, error){
		func() (*subject, error) { return b.service(ctx, "api-gateway", "STAFF_SERVICE_URL="+staff.addr) },
		func() (*subject, error) { return b.plain(ctx, "handler", staff.addr) },
		func() (*subject, error) { return b.plain(ctx, "proxy", staff.addr) },
		func() (*subject, error) {
			return b.service(ctx, "api-gateway", "STAFF_SERVICE_URL="+staff.addr, "RESILIENCE=library")
		},
	} {
		p, err := begin()
		if err != nil {
			return err
		}
		all = append(all, p)
		subjects = append(subjects, group{p})
	}
	if err := sameAnswers(ctx, subjects, driverPath); err != nil {
		return err
	}
	request := get(nil, driverPath)
	cost, err := b.rounds(ctx, subjects, func(int) func([]byte) []byte {
		return func(b []byte) []byte { return append(b, request...) }
	})
	if err != nil {
		return err
	}
	r.cpu = append(
		r.cpu,
		compare("api-gateway, CPU per request to a plain `net/http` handler's", targetGateway, cost[0], cost[1]),
		compare("the same to `httputil.ReverseProxy`'s", targetProxy, cost[0], cost[2]),
		compare("api-gateway with the whole resilience chain to a plain handler", targetWhole, cost[3], cost[1]),
	)
	return nil
}

// sameAnswers returns an error unless all subjects return the same answer.
func sameAnswers(ctx context.Context, subjects []group, path string) error {
	var first string
	for i, s := range subjects {
		answer, err := ask(ctx, s[0].addr, path)
		if err != nil {
			return fmt.Errorf("%s: %w", s[0].name, err)
		}
		if i == 0 {
			first = answer
		}
		if answer != first {
			return fmt.Errorf("%s answers %q, %s %q: must be the same", s[0].name, answer, subjects[0][0].name, first)
		}
	}
	return nil
}

// rounds loads the first process of each subject in turn, round by round, and returns the CPU of
// each subject's processes in microseconds a request. The first round only warms up.
func (b *bench) rounds(ctx context.Context, subjects []group, requests func(conn int) func([]byte) []byte) (cost [][]float64, err error) {
	cost = make([][]float64, len(subjects))
	latest := make([]float64, len(subjects))
	for round := range b.size.rounds + 1 {
		for i, s := range subjects {
			before, err := s.usage(ctx)
			if err != nil {
				return nil, err
			}
			answered, err := load(ctx, s[0].addr, b.size.round, requests)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s[0].name, err)
			}
			after, err := s.usage(ctx)
			if err != nil {
				return nil, err
			}
			latest[i] = float64(after.CPU-before.CPU) / float64(answered) / float64(time.Microsecond)
			if round > 0 {
				cost[i] = append(cost[i], latest[i])
			}
		}
		if round > 0 {
			b.say("round %d of %d: %.1f µs a request", round, b.size.rounds, latest)
		}
	}
	return cost, nil
}
