package observe

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"fleetman.example/kit/env"
)

// The values that the SDK accepts
// (opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables).
var (
	exporters = map[string][]string{
		"TRACES":  {"otlp", "console", "none"},
		"METRICS": {"otlp", "console", "prometheus", "none"},
		"LOGS":    {"otlp", "console", "none"},
	}
	protocols   = []string{"http/protobuf", "grpc"}
	propagators = []string{"tracecontext", "baggage", "b3", "b3multi", "jaeger", "xray", "ottrace", "none"}
	samplers    = []string{
		"always_on", "always_off", "traceidratio",
		"parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
	}
)

// Check adds to r an error for every OTEL_* variable with a value that the SDK would reject later or
// ignore. The SDK logs an unknown sampler and uses its default; it logs a malformed list of headers
// whole, including tokens. The variables are not recorded in r's tables.
func Check(r *env.Reader) {
	for _, signal := range []string{"TRACES", "METRICS", "LOGS"} {
		oneOf(r, "OTEL_"+signal+"_EXPORTER", exporters[signal])
		checkOTLP(r, "OTEL_EXPORTER_OTLP_"+signal+"_")
	}
	checkOTLP(r, "OTEL_EXPORTER_OTLP_")
	oneOf(r, "OTEL_TRACES_SAMPLER", samplers)
	sampler, ratio := r.Getenv("OTEL_TRACES_SAMPLER"), r.Getenv("OTEL_TRACES_SAMPLER_ARG")
	if v, err := strconv.ParseFloat(ratio, 64); strings.HasSuffix(sampler, "traceidratio") && ratio != "" && (err != nil || !(v >= 0 && v <= 1)) {
		r.Fail("OTEL_TRACES_SAMPLER_ARG", "must be a number from 0 to 1")
	}
	for name := range strings.SplitSeq(r.Getenv("OTEL_PROPAGATORS"), ",") {
		if name = strings.TrimSpace(name); name != "" && !slices.Contains(propagators, name) {
			r.Fail("OTEL_PROPAGATORS", "must be names separated by commas, of %s", strings.Join(propagators, ", "))
			break
		}
	}
}

// checkOTLP checks the variables of one exporter, or of all, by their prefix.
func checkOTLP(r *env.Reader, prefix string) {
	oneOf(r, prefix+"PROTOCOL", protocols)
	oneOf(r, prefix+"COMPRESSION", []string{"gzip", "none"})
	if text := r.Getenv(prefix + "ENDPOINT"); text != "" {
		if u, err := url.Parse(text); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			r.FailSecret(prefix+"ENDPOINT", "must be an address such as http://host:4318") // may contain a password
		}
	}
	if text := r.Getenv(prefix + "TIMEOUT"); text != "" {
		if ms, err := strconv.ParseInt(text, 10, 32); err != nil || ms <= 0 {
			r.Fail(prefix+"TIMEOUT", "must be a whole number of milliseconds from 1")
		}
	}
	if text := r.Getenv(prefix + "HEADERS"); text != "" && !isHeaderList(text) {
		r.FailSecret(prefix+"HEADERS", "must be name=value pairs separated by commas, with values percent-encoded")
	}
}

// isHeaderList reports whether the SDK can parse text as a list of headers.
func isHeaderList(text string) bool {
	for pair := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(pair, "=")
		if _, err := url.PathUnescape(value); !ok || err != nil || !httpguts.ValidHeaderFieldName(strings.TrimSpace(name)) {
			return false
		}
	}
	return true
}

func oneOf(r *env.Reader, name string, known []string) {
	if value := r.Getenv(name); value != "" && !slices.Contains(known, value) {
		r.Fail(name, "must be one of %s", strings.Join(known, ", "))
	}
}
