package upstream

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"fleetman.example/kit/env"
)

// Config is how a service calls its upstreams. A zero value switches its stage off.
type Config struct {
	Timeout        time.Duration // longest wait for an answer, over all attempts
	HostsFile      string        // names to look up before DNS; empty: only DNS
	AttemptTimeout time.Duration
	Retry          RetryConfig
	Breaker        BreakerConfig
	Bulkhead       int // concurrent calls of an upstream
	Fallback       bool
	FallbackVary   []string // headers that make two calls of one path differ, in canonical form
	// Optional is set by a service that goes on without an answer. A refusal then serves it better than
	// a call that will fail; it counts only with Fallback on.
	Optional bool

	State *State // where breakers, budgets and bulkheads are shown; nil: nowhere

	random *rand.Rand // nil: the process's own
	mu     *sync.Mutex
}

// draw returns a random number from 0 to below 1, for addresses and back-off.
func (c Config) draw() float64 {
	if c.random == nil {
		return rand.Float64()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.Float64()
}

// RetryConfig bounds the tries of one call and the retries of all.
type RetryConfig struct {
	Attempts      int           // tries of one call, the first included; below 2: off
	Backoff       time.Duration // before the first retry at most; doubles with each
	BackoffMax    time.Duration
	BudgetPercent int  // retries, in percent of calls
	Unsafe        bool // also calls that are not safe to repeat
}

// BreakerConfig has the knobs of Envoy's outlier detection.
type BreakerConfig struct {
	Scope          string        // scopeUpstream or scopeEndpoint
	Failures       int           // consecutive 5xx answers and calls without one that open it; 0: off
	OpenTime       time.Duration // how long it stays open
	Growth         int           // times OpenTime at most, when it opens again and again; 1: never longer
	MaxOpenPercent int           // endpoints that may be open at once
	Probes         int           // successful calls that close a half-open one
}

const (
	scopeUpstream = "upstream"
	scopeEndpoint = "endpoint"
)

// ReadConfig reads it from the environment. RESILIENCE=library only moves the defaults, so each
// stage can be set, or switched off, alone. RESILIENCE=off, where it is set, wins over all of them:
// what it is compared with has no stage that a manifest left on. Unset, each stage is as it is set.
func ReadConfig(r *env.Reader) (cfg Config) {
	r.Shared(func() { cfg = readConfig(r) })
	return cfg
}

func readConfig(r *env.Reader) Config {
	library := r.OneOf("RESILIENCE", "off", []string{"off", "library"}, "`library` switches every stage of the resilience chain on; `off`, where it is set, all of them off, whatever the variables of single stages are") == "library"
	number := func(name string, def, max int, meaning string) int {
		return r.Int(name, onlyIf(library, def), 0, max, meaning)
	}
	duration := func(name string, def time.Duration, meaning string) time.Duration {
		return r.Duration(name, onlyIf(library, def), 0, 10*time.Minute, meaning)
	}
	timeout := 60 * time.Second // the original's
	if library {
		timeout = 3 * time.Second
	}
	cfg := Config{
		Timeout:        r.Duration("UPSTREAM_TIMEOUT", timeout, time.Millisecond, 10*time.Minute, "longest wait for an upstream's answer, over all attempts (library: `3s`)"),
		AttemptTimeout: duration("ATTEMPT_TIMEOUT", time.Second, "longest wait for one attempt; `0s`: no bound of its own (library: `1s`)"),
		Retry: RetryConfig{
			Attempts:      number("RETRY_ATTEMPTS", 3, 10, "attempts of a call, the first included; `0`: no retry (library: `3`)"),
			Backoff:       r.Duration("RETRY_BACKOFF", 25*time.Millisecond, 0, time.Minute, "longest wait before the first retry; it doubles, and the wait is drawn evenly from 0"),
			BackoffMax:    r.Duration("RETRY_BACKOFF_MAX", 250*time.Millisecond, 0, time.Minute, "longest wait before any retry"),
			BudgetPercent: r.Int("RETRY_BUDGET_PERCENT", 20, 0, 1000, "retries of all calls, in percent of calls"),
			Unsafe:        r.Bool("RETRY_UNSAFE", false, "whether to repeat calls that are not safe to repeat, too"),
		},
		Breaker: BreakerConfig{
			Scope:          r.OneOf("BREAKER_SCOPE", scopeEndpoint, []string{scopeEndpoint, scopeUpstream}, "whether every address of an upstream has a breaker, or the upstream has one"),
			Failures:       number("BREAKER_FAILURES", 3, 1000, "consecutive 5xx answers and calls without an answer that open a breaker, which then refuses the calls that something stands in for; `0`: no breaker (library: `3`)"),
			OpenTime:       r.Duration("BREAKER_OPEN_TIME", 10*time.Second, time.Millisecond, time.Hour, "how long a breaker stays open"),
			Growth:         r.Int("BREAKER_OPEN_GROWTH", 1, 1, 1000, "longest open time, in times of `BREAKER_OPEN_TIME`, of a breaker that opens again and again"),
			MaxOpenPercent: r.Int("BREAKER_MAX_OPEN_PERCENT", 100, 0, 100, "endpoints of an upstream that may be open at once; below `100` one that stands alone, as that of `BREAKER_SCOPE=upstream` does, never opens"),
			Probes:         r.Int("BREAKER_PROBES", 1, 1, 100, "good answers that close a breaker again"),
		},
		Bulkhead:     number("BULKHEAD", 100, 100_000, "concurrent calls of an upstream; `0`: no bound (library: `100`)"),
		Fallback:     r.Bool("FALLBACK", library, "whether to answer with what is known when an upstream fails (library: `true`)"),
		FallbackVary: readVary(r),
		HostsFile:    r.String("HOSTS_FILE", "", "names to look up before DNS, in the form of hosts(5); read again when it changes"),
		State:        NewState(),
	}
	if seed := r.Int64("UPSTREAM_SEED", 0, 0, 1<<62, "makes the choice of addresses and the back-off reproducible; `0`: it is not"); seed != 0 {
		cfg.random, cfg.mu = rand.New(rand.NewPCG(uint64(seed), 0)), new(sync.Mutex)
	}
	if err := checkHosts(cfg.HostsFile); err != nil {
		r.Fail("HOSTS_FILE", "must be a readable file in the form of hosts(5): %v", err)
	}
	if cfg.Retry.BackoffMax < cfg.Retry.Backoff {
		r.Fail("RETRY_BACKOFF_MAX", "must be at least RETRY_BACKOFF, %s", cfg.Retry.Backoff)
	}
	if cfg.AttemptTimeout > cfg.Timeout {
		r.Fail("ATTEMPT_TIMEOUT", "must be at most UPSTREAM_TIMEOUT, %s", cfg.Timeout)
	}
	if strings.TrimSpace(r.Getenv("RESILIENCE")) == "off" {
		return Config{Timeout: cfg.Timeout, HostsFile: cfg.HostsFile, State: cfg.State, random: cfg.random, mu: cfg.mu}
	}
	return cfg
}

// readVary reads the headers that make two calls of one path differ.
func readVary(r *env.Reader) (headers []string) {
	names := r.String("FALLBACK_VARY", "X-My-Header", "the request headers, separated by commas, by which the answers to one path and query differ: those that releases are routed by")
	for name := range strings.SplitSeq(names, ",") {
		name = strings.TrimSpace(name)
		if !httpguts.ValidHeaderFieldName(name) {
			r.Fail("FALLBACK_VARY", "must be names of headers separated by commas, such as X-My-Header")
			return nil
		}
		headers = append(headers, http.CanonicalHeaderKey(name))
	}
	return headers
}

// onlyIf returns v where on, and the zero value, which switches a stage off, elsewhere.
func onlyIf[T any](on bool, v T) T {
	var off T
	if on {
		return v
	}
	return off
}
