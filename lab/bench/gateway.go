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
	if err := sameAnswers(subjects, driverPath); err != nil {
		return err
	}
	request := get(nil, driverPath)
	cost, err := b.rounds(ctx, subjects, func(int) func([]byte) []byte {
		return func(b []byte) []byte { return append(b, request...) }
	})
	if err != nil {
		return err
	}
	r.gatewayCPU = [4]spread{spreadOf(cost[0]), spreadOf(cost[1]), spreadOf(cost[2]), spreadOf(cost[3])}
	r.gatewayToHandler, r.gatewayToProxy = spreadOf(ratios(cost[0], cost[1])), spreadOf(ratios(cost[0], cost[2]))
	r.wholeToHandler = spreadOf(ratios(cost[3], cost[1]))
	return nil
}

// sameAnswers returns an error unless all subjects return the same answer.
func sameAnswers(subjects []group, path string) error {
	first, err := ask(subjects[0][0].addr, path)
	if err != nil {
		return err
	}
	for _, s := range subjects[1:] {
		answer, err := ask(s[0].addr, path)
		if err != nil {
			return fmt.Errorf("%s: %w", s[0].name, err)
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
			if round == 0 {
				continue
			}
			cost[i] = append(cost[i], float64(after.CPU-before.CPU)/float64(answered)/float64(time.Microsecond))
		}
		if round > 0 {
			b.say("round %d of %d: %.1f µs a request", round, b.size.rounds, last(cost))
		}
	}
	return cost, nil
}

func last(cost [][]float64) []float64 {
	l := make([]float64, len(cost))
	for i, c := range cost {
		l[i] = c[len(c)-1]
	}
	return l
}
