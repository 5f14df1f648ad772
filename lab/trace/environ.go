package trace

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
)

// Choice is what the OTEL_* variables of a user mean for the receiver.
type Choice struct {
	// Off is why the pods' spans are not sent to the receiver; empty: they are.
	Off string
	// Forward reports whether the user has a collector, to which the receiver sends the spans, too.
	Forward  bool
	protocol string
}

// Choose returns what the variables mean. An endpoint that is no URL is an error.
func Choose(getenv func(string) string) (c Choice, err error) {
	exporter := getenv("OTEL_TRACES_EXPORTER")
	switch {
	case strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true"):
		c.Off = "OTEL_SDK_DISABLED is true"
		return c, nil
	case exporter != "" && exporter != "otlp":
		c.Off = "OTEL_TRACES_EXPORTER is " + exporter
		return c, nil
	}
	name := "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	if getenv(name) == "" {
		name = "OTEL_EXPORTER_OTLP_ENDPOINT"
	}
	endpoint := getenv(name)
	c.Forward = endpoint != "" || exporter == "otlp"
	c.protocol = cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), getenv("OTEL_EXPORTER_OTLP_PROTOCOL"))
	if u, err := url.Parse(endpoint); endpoint != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return c, fmt.Errorf("%s: must be an address such as http://host:4318", name) // may contain a password
	}
	if !slices.Contains([]string{"", "grpc", "http/protobuf"}, c.protocol) {
		return c, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: %.40q: must be http/protobuf or grpc", c.protocol)
	}
	return c, nil
}

// Forwarder starts a forwarder to the user's collector, or returns nil if there is none. The
// OTEL_EXPORTER_OTLP_* variables of this process have its address, headers and certificates. report is
// called at most every ten seconds with a line about spans that were lost.
func (c Choice) Forwarder(report func(line string)) (*Forwarder, error) {
	if !c.Forward {
		return nil, nil
	}
	client := otlptracehttp.NewClient()
	if c.protocol == "grpc" {
		client = otlptracegrpc.NewClient()
	}
	return newForwarder(client, report)
}

// exportEvery is the time between two exports of a program, in milliseconds. A trace is complete after it.
const exportEvery = "1000"

// Environ returns the environment of programs that send their spans to the receiver at endpoint, such as
// http://127.0.0.1:4318. The user's variables for metrics and logs remain, and so does a sampler.
func Environ(environ []string, endpoint string) []string {
	variables := map[string]string{"OTEL_BSP_SCHEDULE_DELAY": exportEvery}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "OTEL_EXPORTER_OTLP_TRACES_") { // headers and certificates are for the user's collector
			variables[name] = value
		}
	}
	variables["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = endpoint + Path
	variables["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] = "http/protobuf"
	variables["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION"] = "none"
	var list []string
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		list = append(list, name+"="+variables[name])
	}
	return list
}
