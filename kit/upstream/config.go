package upstream

import (
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"fleetman.example/kit/env"
)

// Config configures the calls of a service to its upstreams. The zero value of a field switches its stage
// off, but Timeout must be above 0.
type Config struct {
	Timeout        time.Duration // longest wait for an answer, over all attempts
	HostsFile      string        // file in the form of hosts(5), looked up before DNS; empty: only DNS
	AttemptTimeout time.Duration // longest wait of one attempt
	Retry          RetryConfig
	Breaker        BreakerConfig
	Bulkhead       int // concurrent calls to an upstream
	Fallback       bool
	FallbackVary   []string // headers that are part of a stored answer's key, in canonical form
	// Optional is set by a service that can do without an answer. With Fallback on, its calls are then
	// refused while all breakers are open.
	Optional bool

	Seed uint64 // of the choice of addresses and of back-off; 0: random
}

// RetryConfig limits the attempts of one call and the retries of all calls.
type RetryConfig struct {
	Attempts      int           // attempts of one call, including the first; below 2: off
	Backoff       time.Duration // longest wait before the first retry; doubles with each retry
	BackoffMax    time.Duration // longest wait before any retry
	BudgetPercent int           // retries of all calls, in percent of calls
	Unsafe        bool          // retry calls that are not safe to repeat, too
}

// BreakerConfig has parameters like those of Envoy's outlier detection.
type BreakerConfig struct {
	Scope          string        // scopeUpstream or scopeEndpoint
	Failures       int           // consecutive failures (a 5xx or no answer) that open a breaker; 0: off
	OpenTime       time.Duration // how long a breaker is open the first time
	Growth         int           // longest open time, as a multiple of OpenTime
	MaxOpenPercent int           // share of the endpoints that may be open at the same time
	Probes         int           // successful calls that close a half-open breaker
}

const (
	scopeUpstream = "upstream" // one breaker for the upstream
	scopeEndpoint = "endpoint" // one breaker per endpoint
)

// ReadConfig reads the configuration. RESILIENCE=library changes the defaults of the stages, so that each
// can still be set or switched off alone. RESILIENCE=off switches all stages off and ignores their
// values, which must be valid alone. Without RESILIENCE all stages are off by default.
func ReadConfig(r *env.Reader) (cfg Config) {
	r.Shared(func() { cfg = readConfig(r) })
	return cfg
}

func readConfig(r *env.Reader) Config {
	library := r.OneOf("RESILIENCE", "off", []string{"off", "library"}, "`library` switches on every stage of the resilience chain by default; `off`, if set, switches off all stages and ignores their variables") == "library"
	number := func(name string, def, max int, meaning string) int {
		if !library {
			def = 0 // off
		}
		return r.Int(name, def, 0, max, meaning)
	}
	timeout, attempt := 60*time.Second, time.Duration(0) // timeout: as in the original; attempt: off
	if library {
		timeout, attempt = 3*time.Second, time.Second
	}
	cfg := Config{
		Timeout:        r.Duration("UPSTREAM_TIMEOUT", timeout, time.Millisecond, 10*time.Minute, "longest wait for an upstream's answer, over all attempts (library: `3s`)"),
		AttemptTimeout: r.Duration("ATTEMPT_TIMEOUT", attempt, 0, 10*time.Minute, "longest wait for one attempt; `0s`: no limit of its own (library: `1s`)"),
		Retry: RetryConfig{
			Attempts:      number("RETRY_ATTEMPTS", 3, 10, "attempts of a call, including the first; `0`: no retry (library: `3`)"),
			Backoff:       r.Duration("RETRY_BACKOFF", 25*time.Millisecond, 0, time.Minute, "longest wait before the first retry, doubled for each further one; the wait is random, from 0"),
			BackoffMax:    r.Duration("RETRY_BACKOFF_MAX", 250*time.Millisecond, 0, time.Minute, "longest wait before any retry"),
			BudgetPercent: r.Int("RETRY_BUDGET_PERCENT", 20, 0, 1000, "retries of all calls, in percent of calls"),
			Unsafe:        r.Bool("RETRY_UNSAFE", false, "whether to retry calls that are not safe to repeat, too"),
		},
		Breaker: BreakerConfig{
			Scope:          r.OneOf("BREAKER_SCOPE", scopeEndpoint, []string{scopeEndpoint, scopeUpstream}, "whether each endpoint of an upstream has a breaker, or the upstream has one"),
			Failures:       number("BREAKER_FAILURES", 3, 1000, "consecutive failures (a 5xx or no answer) that open a breaker; `0`: no breaker (library: `3`)"),
			OpenTime:       r.Duration("BREAKER_OPEN_TIME", 10*time.Second, time.Millisecond, time.Hour, "how long a breaker is open the first time"),
			Growth:         r.Int("BREAKER_OPEN_GROWTH", 1, 1, 1000, "longest open time of a breaker that opens repeatedly, as a multiple of `BREAKER_OPEN_TIME`"),
			MaxOpenPercent: r.Int("BREAKER_MAX_OPEN_PERCENT", 100, 0, 100, "share of an upstream's endpoints that may be open at the same time; below `100` a single endpoint, such as that of `BREAKER_SCOPE=upstream`, never opens"),
			Probes:         r.Int("BREAKER_PROBES", 1, 1, 100, "successful calls that close a half-open breaker"),
		},
		Bulkhead:     number("BULKHEAD", 100, 100_000, "concurrent calls to an upstream; `0`: no limit (library: `100`)"),
		Fallback:     r.Bool("FALLBACK", library, "whether to replace a failed answer by the last known one or a placeholder (library: `true`)"),
		FallbackVary: readVary(r),
		HostsFile:    r.String("HOSTS_FILE", "", "file in the form of hosts(5), looked up before DNS; read again when it changes"),
		Seed:         uint64(r.Int64("UPSTREAM_SEED", 0, 0, 1<<62, "seed of the choice of addresses and of back-off; `0`: random")),
	}
	if err := checkHosts(cfg.HostsFile); err != nil {
		r.Fail("HOSTS_FILE", "must be a readable file in the form of hosts(5): %v", err)
	}
	if strings.TrimSpace(r.Getenv("RESILIENCE")) == "off" {
		return Config{Timeout: cfg.Timeout, HostsFile: cfg.HostsFile, Seed: cfg.Seed}
	}
	if cfg.Retry.BackoffMax < cfg.Retry.Backoff {
		r.Fail("RETRY_BACKOFF_MAX", "must be at least RETRY_BACKOFF, %s", cfg.Retry.Backoff)
	}
	if cfg.AttemptTimeout > cfg.Timeout {
		r.Fail("ATTEMPT_TIMEOUT", "must be at most UPSTREAM_TIMEOUT, %s", cfg.Timeout)
	}
	return cfg
}

// readVary reads Config.FallbackVary.
func readVary(r *env.Reader) (headers []string) {
	names := r.String("FALLBACK_VARY", "X-My-Header", "request headers, separated by commas, by which answers to one path and query differ, such as those that releases are routed by")
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
