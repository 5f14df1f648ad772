package report

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"fleetman.example/lab/record"
)

// A request's way: the ingress gateway, the api-gateway's proxy, its service,
// its proxy again, the proxy of a staff-service, that service.
func TestOrigin(t *testing.T) {
	entry := func(side, proxy string, status int, flags, details string) record.AccessLogEntry {
		return record.AccessLogEntry{Side: side, Proxy: proxy, Status: status, Flags: flags, Details: details}
	}
	gate := func(status int, flags, details string) record.AccessLogEntry {
		return entry(record.AtGateway, "istio-ingressgateway", status, flags, details)
	}
	first := func(status int, flags, details string) record.AccessLogEntry {
		return entry(record.In, "api-gateway-0", status, flags, details)
	}
	out := func(to string, status int, flags, details string) record.AccessLogEntry {
		p := entry(record.Out, "api-gateway-0", status, flags, details)
		p.To = to
		return p
	}
	in := func(pod string, status int, flags, details string) record.AccessLogEntry {
		return entry(record.In, pod, status, flags, details)
	}
	passed := first(500, "-", "via_upstream")
	marked := func(origin string) record.Request {
		return record.Request{Status: 500, Error: "an error", Origin: origin}
	}
	answer := func(text string) record.Request { return record.Request{Status: 500, Error: text} }
	for name, test := range map[string]struct {
		request   record.Request
		accessLog []record.AccessLogEntry
		want      string
	}{
		"the service answers 502":              {answer("status 502 reading staff-service GET /driver/x"), []record.AccessLogEntry{passed, out("s-0", 502, "-", "via_upstream"), in("s-0", 502, "-", "via_upstream")}, FromApp},
		"after retries, the last one's":        {answer("status 502 reading staff-service GET /driver/x"), []record.AccessLogEntry{passed, out("s-1", 502, "URX", "via_upstream"), in("s-0", 503, "UC", "upstream_reset_before_response_started{connection_termination}"), in("s-1", 502, "-", "via_upstream")}, FromApp},
		"the callee's proxy loses its service": {answer("status 503 reading staff-service GET /driver/x"), []record.AccessLogEntry{passed, out("s-0", 503, "URX", "via_upstream"), in("s-0", 503, "UC", "upstream_reset_before_response_started{connection_termination}")}, FromCallee},
		"the caller's proxy has waited":        {answer("status 504 reading staff-service GET /driver/x"), []record.AccessLogEntry{passed, out("s-0", 504, "UT", "response_timeout"), in("s-0", 0, "DC", "downstream_remote_disconnect")}, FromCaller},
		"no host is left":                      {answer("status 503 reading staff-service GET /driver/x"), []record.AccessLogEntry{passed, out("", 503, "UH", "no_healthy_upstream")}, FromCaller},
		"too many at once":                     {answer("status 503 reading staff-service GET /driver/x"), []record.AccessLogEntry{passed, out("", 503, "UO", "upstream_reset_before_response_started{overflow}")}, FromCaller},
		"the library gives up":                 {answer("no answer in time reading staff-service GET /driver/x"), []record.AccessLogEntry{passed, out("s-0", 0, "DC", "downstream_remote_disconnect"), in("s-0", 0, "DC", "downstream_remote_disconnect")}, FromLibrary},
		"the library gives up, its last one":   {answer("no answer in time reading staff-service GET /driver/x"), []record.AccessLogEntry{passed, out("s-0", 502, "-", "via_upstream"), in("s-0", 502, "-", "via_upstream"), out("s-1", 0, "DC", "downstream_remote_disconnect")}, FromLibrary},
		"the library does not call":            {marked("breaker; service=api-gateway"), []record.AccessLogEntry{passed}, FromLibrary},
		"the caller goes first":                {record.Request{Error: "no answer in time"}, []record.AccessLogEntry{first(0, "DC", "downstream_remote_disconnect"), out("s-0", 0, "DC", "downstream_remote_disconnect"), in("s-0", 0, "DC", "downstream_remote_disconnect")}, FromApp},
		"the body breaks off":                  {answer("connection closed reading staff-service GET /driver/x"), []record.AccessLogEntry{passed, out("s-0", 200, "UC", "upstream_reset_after_response_started{connection_termination}"), in("s-0", 200, "UC", "upstream_reset_after_response_started{connection_termination}")}, FromApp},
		"the gateway's own fault":              {record.Request{Status: 502, Error: "injected", Injected: "status"}, []record.AccessLogEntry{first(502, "-", "via_upstream")}, FromApp},
		"its proxy does not reach it":          {record.Request{Status: 503, Error: "an error without a message"}, []record.AccessLogEntry{first(503, "UF", "upstream_reset_before_response_started{remote_connection_failure}")}, FromCallee},
		"the ingress has nobody":               {record.Request{Status: 503, Error: "an error without a message"}, []record.AccessLogEntry{gate(503, "UH", "no_healthy_upstream")}, FromGateway},
		"the ingress passes on":                {answer("status 502 reading staff-service GET /driver/x"), []record.AccessLogEntry{gate(500, "-", "via_upstream"), passed, out("s-0", 502, "-", "via_upstream"), in("s-0", 502, "-", "via_upstream")}, FromApp},
		"nothing in the logs":                  {answer("status 502 reading staff-service GET /driver/x"), nil, Unknown},
		"a callee without a proxy":             {answer("status 502 reading staff-service GET /driver/x"), []record.AccessLogEntry{passed, out("s-0", 502, "-", "via_upstream")}, FromApp},
	} {
		test.request.AccessLog = test.accessLog
		assert.Equal(t, test.want, origin(test.request, true), name)
	}
	for header, want := range map[string]string{
		"breaker; service=api-gateway":       FromLibrary,
		"bulkhead; service=position-tracker": FromLibrary,
		"timeout; service=api-gateway":       FromLibrary,
		"timeout":                            FromLibrary,
		"upstream; service=staff-service":    FromApp,
		"":                                   FromApp,
	} {
		// the message is for people: no wording of it changes the origin
		for _, message := range []string{"circuit open reading staff-service GET /driver/x", "no answer in time reading staff-service GET /driver/x", "reworded", ""} {
			r := record.Request{Status: 500, Error: message, Origin: header}
			assert.Equal(t, want, origin(r, false), fmt.Sprintf("%q, %q", header, message))
			r.AccessLog = []record.AccessLogEntry{passed}
			assert.Equal(t, want, origin(r, true), fmt.Sprintf("%q, %q, with proxies", header, message))
		}
	}
	assert.Equal(t, FromApp, origin(record.Request{Error: "no answer in time"}, false), "no answer to the load")
}

func TestOrigins(t *testing.T) {
	assert.Equal(t, map[string]int{FromApp: 2}, origins([]record.Request{good, failed, degraded, failed}, false), "two failures")
	assert.Equal(t, map[string]int{}, origins([]record.Request{good, late, degraded}, true), "without a failure")
}
