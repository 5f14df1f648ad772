// Package environ has the names of the environment variables that the fleet's programs read, so that a
// misspelled one is found. Tests hold them to the tables of docs/configuration.md and of the services' READMEs.
package environ

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"fleetman.example/lab/usage"
)

// receives are the shared variables of programs that receive requests, calls those of programs that make some.
var (
	receives = []string{"MAX_BODY_BYTES", "MAX_CONNECTIONS", "PROPAGATE_HEADERS", "DRAIN_DELAY", "FAULTS", "FAULTS_SEED", "ADMIN_TOKEN"}
	calls    = []string{
		"RESILIENCE", "UPSTREAM_TIMEOUT", "ATTEMPT_TIMEOUT", "RETRY_ATTEMPTS", "RETRY_BACKOFF", "RETRY_BACKOFF_MAX", "RETRY_BUDGET_PERCENT", "RETRY_UNSAFE",
		"BREAKER_SCOPE", "BREAKER_FAILURES", "BREAKER_OPEN_TIME", "BREAKER_OPEN_GROWTH", "BREAKER_MAX_OPEN_PERCENT", "BREAKER_PROBES",
		"BULKHEAD", "FALLBACK", "FALLBACK_VARY", "HOSTS_FILE", "UPSTREAM_SEED",
	}
)

// program is what one reads.
type program struct {
	receives, calls bool
	own             []string
}

var programs = map[string]program{
	"api-gateway":        {true, true, []string{"LISTEN_ADDR", "POSITION_TRACKER_URL", "STAFF_SERVICE_URL", "DRAIN_TIMEOUT"}},
	"position-simulator": {false, true, []string{"POSITION_TRACKER_URL", "TRACKS_DIR", "FLEET_SIZE", "REPORT_INTERVAL", "SEED", "FAULTS", "DRAIN_TIMEOUT"}},
	"position-tracker":   {true, true, []string{"LISTEN_ADDR", "VEHICLE_TELEMETRY_URL", "STAFF_SERVICE_URL", "MAX_VEHICLES", "HISTORY_LIMIT", "HISTORY_TOTAL", "DRAIN_TIMEOUT"}},
	"staff-service":      {true, true, []string{"LISTEN_ADDR", "VARIANT", "PHOTO_BASE_URL", "DRIVER_MONITORING_URL", "DRAIN_TIMEOUT", "TLS_HOST", "STAFF_FILE"}},
	"vehicle-telemetry":  {true, false, []string{"LISTEN_ADDR", "MAX_VEHICLES", "DRAIN_TIMEOUT"}},
	"webapp":             {true, true, []string{"LISTEN_ADDR", "API_GATEWAY_URL", "VARIANT", "PHOTO_ORIGINS", "DRAIN_TIMEOUT"}},
}

// every is what every program has, of Go and of the system; names that begin with OTEL_ are the SDK's.
var every = []string{
	"ADMIN_ADDR",
	"GOMEMLIMIT", "GOGC", "GODEBUG", "GOMAXPROCS", "GOTRACEBACK", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"HOSTNAME", "PATH", "HOME", "TMPDIR", "TZ", "LANG",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", // of the exporters of telemetry
}

// Program returns the fleet's program of an image, or "".
func Program(image string) string {
	repository, _, _ := strings.Cut(image, "@")
	base := repository[strings.LastIndexByte(repository, '/')+1:]
	base, _, _ = strings.Cut(base, ":")
	base = strings.TrimSuffix(strings.TrimPrefix(base, "istio-fleetman-"), "-angular")
	if _, ours := programs[base]; ours && strings.Contains(image, "fleetman") {
		return base
	}
	return ""
}

// Of returns the variables of a program of the fleet; nil for one that is not the fleet's.
func Of(name string) (all []string) {
	p, ours := programs[name]
	if !ours {
		return nil
	}
	all = append(all, p.own...)
	if p.receives {
		all = append(all, receives...)
	}
	if p.calls {
		all = append(all, calls...)
	}
	return append(all, every...)
}

// Receives reports whether a program of the fleet receives requests, into which faults can be injected.
func Receives(name string) bool { return programs[name].receives }

// Check returns an error for a variable that none of some programs reads, or a note if one of them is not the
// fleet's: its variables are not known. Those that the manifests set are valid.
func Check(variable string, set []string, programs ...string) (note string, err error) {
	known, foreign := slices.Clone(set), false
	for _, program := range programs {
		of := Of(program)
		foreign = foreign || of == nil
		known = append(known, of...)
	}
	if slices.Contains(known, variable) || strings.HasPrefix(variable, "OTEL_") {
		return "", nil
	}
	similar := usage.Suggest(variable, known)
	hint := usage.DidYouMean(similar[:min(len(similar), 3)])
	if foreign {
		return fmt.Sprintf("%q: is not in the manifests, and the variables of the program are not known%s", variable, hint), nil
	}
	of := strings.Join(programs, ", ")
	if len(programs) > 1 {
		of = "a service"
	}
	return "", fmt.Errorf("%q: must be a variable of %s%s", variable, of, cmp.Or(hint, ", see docs/configuration.md and the README of the service"))
}
