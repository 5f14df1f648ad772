package lint

import (
	"strconv"
	"strings"
	"time"
)

// defaultAddresses are the addresses that a program calls when its variables are
// not set. A test holds them to the tables of the services' READMEs.
var defaultAddresses = map[string]map[string]string{
	"api-gateway": {
		"POSITION_TRACKER_URL": "http://fleetman-position-tracker:8080",
		"STAFF_SERVICE_URL":    "http://fleetman-staff-service:8080",
	},
	"position-simulator": {"POSITION_TRACKER_URL": "http://fleetman-position-tracker:8080"},
	"position-tracker": {
		"VEHICLE_TELEMETRY_URL": "http://fleetman-vehicle-telemetry:8080",
		"STAFF_SERVICE_URL":     "http://fleetman-staff-service:8080",
	},
	"webapp": {"API_GATEWAY_URL": "http://fleetman-api-gateway:8080"},
}

// setting is a default of the library's: without RESILIENCE, and with
// RESILIENCE=library when that differs.
type setting struct{ plain, library string }

// settings are the defaults of the variables that rules read. A test holds them
// to docs/configuration.md.
var settings = map[string]setting{
	"UPSTREAM_TIMEOUT":         {"1m", "3s"},
	"ATTEMPT_TIMEOUT":          {"0s", "1s"},
	"RETRY_ATTEMPTS":           {"0", "3"},
	"RETRY_BACKOFF":            {"25ms", ""},
	"RETRY_BACKOFF_MAX":        {"250ms", ""},
	"RETRY_BUDGET_PERCENT":     {"20", ""},
	"RETRY_UNSAFE":             {"false", ""},
	"BREAKER_SCOPE":            {"endpoint", ""},
	"BREAKER_FAILURES":         {"0", "3"},
	"BREAKER_OPEN_TIME":        {"10s", ""},
	"BREAKER_MAX_OPEN_PERCENT": {"100", ""},
	"BULKHEAD":                 {"0", "100"},
	"FALLBACK":                 {"false", "true"},
	"PROPAGATE_HEADERS":        {"true", ""},
}

// library is what the services' own resilience chain does with a call.
type library struct {
	on                    bool // any of it is configured
	total, attempt        time.Duration
	tries                 int
	backoff, backoffMax   time.Duration
	budgetPercent         int
	unsafe                bool
	endpointScope         bool
	failures, openPercent int
	openTime              time.Duration
	bulkhead              int
	fallback, propagate   bool
	env                   map[string]variable
	library               bool // RESILIENCE=library
}

// newLibrary reads the library's variables. Of a program that is not the fleet's
// only those that are set count.
func newLibrary(env map[string]variable, fleet bool) library {
	resilience := strings.TrimSpace(env["RESILIENCE"].text)
	l := library{env: env, library: resilience == "library"}
	l.on = fleet || l.library
	get := func(name string) string {
		if v, ok := env[name]; ok && strings.TrimSpace(v.text) != "" {
			return strings.TrimSpace(v.text)
		}
		if s := settings[name]; l.library && s.library != "" {
			return s.library
		}
		if !l.on && strings.HasSuffix(name, "_TIMEOUT") {
			return "0s"
		}
		return settings[name].plain
	}
	count := func(name string) int {
		n, _ := strconv.Atoi(get(name))
		return min(max(n, 0), maxCount)
	}
	duration := func(name string) time.Duration {
		d, _ := time.ParseDuration(get(name))
		return min(max(d, 0), maxDuration)
	}
	l.total, l.propagate = duration("UPSTREAM_TIMEOUT"), get("PROPAGATE_HEADERS") != "false"
	if l.tries = 1; resilience == "off" {
		return l
	}
	l.attempt = duration("ATTEMPT_TIMEOUT")
	l.tries = max(1, count("RETRY_ATTEMPTS"))
	l.backoff, l.backoffMax = duration("RETRY_BACKOFF"), duration("RETRY_BACKOFF_MAX")
	l.budgetPercent, l.unsafe = count("RETRY_BUDGET_PERCENT"), get("RETRY_UNSAFE") == "true"
	l.endpointScope, l.failures = get("BREAKER_SCOPE") == "endpoint", count("BREAKER_FAILURES")
	l.openTime, l.openPercent = duration("BREAKER_OPEN_TIME"), count("BREAKER_MAX_OPEN_PERCENT")
	l.bulkhead, l.fallback = count("BULKHEAD"), get("FALLBACK") == "true"
	return l
}

// set returns where a variable is set; for a default, where RESILIENCE is.
func (l *library) set(name string) value {
	if v, ok := l.env[name]; ok {
		return v.set
	}
	return l.env["RESILIENCE"].set
}

// isSet reports whether a variable has a value that someone chose: its own, or
// that of RESILIENCE=library.
func (l *library) isSet(name string) bool {
	_, own := l.env[name]
	return own || l.library && settings[name].library != ""
}

// limit is how long the first attempt may take; 0: no limit.
func (l *library) limit() time.Duration { return l.within(l.total) }

// within is how long an attempt may take when its call has some time left; 0 is no
// limit. One with a limit of its own takes at most half of that time.
func (l *library) within(left time.Duration) time.Duration {
	if l.attempt > 0 && left > 0 {
		return min(l.attempt, left/2)
	}
	return lower(l.attempt, left)
}

// attempts are the longest times of all attempts of a call, with the longest waits
// between them, when none may take longer than a limit of the mesh's; 0 is none.
func (l *library) attempts(mesh time.Duration) (each []time.Duration, whole time.Duration) {
	for n := range min(max(l.tries, 1), maxTries) {
		if n > 0 {
			whole += min(l.backoff<<min(n-1, 20), l.backoffMax)
		}
		left := l.total - whole
		if l.total > 0 && left <= 0 {
			break
		}
		one := lower(l.within(left), mesh)
		each, whole = append(each, one), whole+one
	}
	return each, whole
}

// lower returns the lower of two limits, of which 0 is none.
func lower(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// backoffs is the longest that n waits take, the first of which is at most base,
// each further one twice the one before, and none more than longest.
func backoffs(n int, base, longest time.Duration) (sum time.Duration) {
	for range min(n, maxTries) {
		sum += min(base, longest)
		base = min(2*base, maxDuration)
	}
	return sum
}

// maxTries bounds what is multiplied.
const maxTries = 10_000
