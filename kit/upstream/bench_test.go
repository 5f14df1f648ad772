package upstream

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"syscall"
	"testing"
	"time"

	"fleetman.example/kit/server/servertest"
)

// still answers immediately, within the process. The cost of a call above it is that of the chain.
type still struct{ body []byte }

func (s still) RoundTrip(r *http.Request) (*http.Response, error) {
	body := &stillBody{rest: s.body}
	return &http.Response{StatusCode: http.StatusOK, Header: stillHeader, Body: body, ContentLength: int64(len(s.body)), Request: r}, nil
}

var stillHeader = http.Header{"Content-Type": {"application/json"}}

type stillBody struct{ rest []byte }

func (b *stillBody) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (*stillBody) Close() error { return nil }

// BenchmarkChain adds one stage after another to a bare transport, without faults.
func BenchmarkChain(b *testing.B) {
	dial := still{[]byte(`{"name":"Pam Parry","photo":"1.jpg"}`)}
	lookup := func(context.Context) ([]string, error) { return twoAddrs, nil }
	full := library(b)
	full.Seed = 0
	cfg := Config{Timeout: full.Timeout}
	run := func(name string, chain http.RoundTripper) {
		b.Run(name, func(b *testing.B) { benchmark(b, chain) })
	}
	with := func(name string) {
		set := newSet(b, cfg)
		m := newInstruments("staff-service", set.o)
		run(name, set.newChain(cfg, m, dial, lookup, newFallback(cfg, nil, m)))
	}

	run("0 bare", dial)
	run("1 trace", servertest.Observer(b).Transport("staff-service", dial))
	with("2 total timeout")
	run("3 whole answer", totalTimeout{cfg.Timeout, whole{servertest.Observer(b).Transport("staff-service", dial)}})
	cfg.AttemptTimeout = full.AttemptTimeout
	with("4 attempt timeout")
	cfg.Bulkhead = full.Bulkhead
	with("5 bulkhead")
	cfg.Breaker = full.Breaker
	with("6 breaker")
	cfg.Retry = full.Retry
	with("7 retry")
	cfg.Fallback = true
	with("8 fallback")
}

var twoAddrs = []string{"10.0.0.1:8080", "10.0.0.2:8080"}

// benchmark makes calls as Client.Do does, and reads their answers.
func benchmark(b *testing.B, chain http.RoundTripper) {
	base := servertest.Must(url.Parse("http://staff-service:8080"))
	c := &Client{name: "staff-service", base: *base, chain: chain}
	ctx, cancel := context.WithCancel(b.Context()) // like the context of a server's request
	defer cancel()
	b.ReportAllocs()
	begin := used()
	for b.Loop() {
		if resp, err := c.Do(ctx, http.MethodGet, "/driver/City%20Truck", nil); err != nil || len(resp.Body) != 36 {
			b.Fatal(resp, err)
		}
	}
	b.ReportMetric(float64((used()-begin).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// used returns the CPU time of the process: unlike wall-clock time it does not depend on other processes.
func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // never fails for RUSAGE_SELF
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
