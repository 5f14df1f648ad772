package report

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"fleetman.example/lab/golden"
	"fleetman.example/lab/record"
)

// TestOrigin: the origin of a failed answer is in the proxies' access logs and, of the library's, in its own header.
func TestOrigin(t *testing.T) {
	var tests []struct {
		Name, Want string
		Request    record.Request
	}
	golden.Cases(t, "testdata/origins.yaml", &tests)
	for _, test := range tests {
		assert.Equal(t, test.Want, origin(test.Request, true), test.Name)
	}
	passed := record.AccessLogEntry{Side: record.In, Proxy: "api-gateway-0", Status: 500, Flags: "-", Details: "via_upstream"}
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
