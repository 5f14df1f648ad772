package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh/meshtest"
	"fleetman.example/lab/trial"
)

// TestFaultVerify verifies faults in a scenario whose mesh ejects hosts and retries. Behind a proxy a reset and
// a crash are a 503, and the counts are those that were set.
func TestFaultVerify(t *testing.T) {
	t.Parallel()
	meshtest.Binaries(t)
	trial.Run(t, func(t *trial.T) {
		c := launch(t, "--mesh", "--relays", "--ingress-port", "0", scenarios("circuit-breaking"))
		stdout := c.ask(t, "fault", "verify")
		rows := regexp.MustCompile(`(?m)^(delay|status|rate|reset|hang|truncate|slow|capacity|idle|crash|connect=hang|connect=delay|connect=cut) `).FindAllString(stdout, -1)
		assert.Len(t, rows, 2*10+3, stdout)
	})
}

// TestStrangersTimeouts runs the library with callers that have less time than the upstream takes. Other callers
// get no degraded response.
func TestStrangersTimeouts(t *testing.T) {
	t.Parallel()
	args := []string{"--replicas", "staff-service=2"}
	for _, service := range []string{"webapp", "api-gateway", "position-tracker"} {
		args = append(args, "--set", service+":RESILIENCE=library")
	}
	trial.Run(t, func(t *trial.T) {
		c := launch(t, args...)
		page := c.nodePort(t, "fleetman-webapp")
		c.ask(t, "fault", "staff-service", "delay=150ms")

		gateway, tracker := c.at(t, "api-gateway-0"), c.at(t, "position-tracker-0")
		for _, caller := range []struct {
			times                int
			timeout, method, url string
		}{
			{3, "500", "GET", page + driver},
			{30, "40", "GET", page + driver},
			{30, "40", "GET", gateway + strings.TrimPrefix(driver, "/api")},
			{30, "40", "POST", tracker + "/vehicles/"},
		} {
			for i := range caller.times {
				body := fmt.Sprintf(`{"name":"Stranger","lat":53.1,"lng":-1.2,"timestamp":"2026-01-01T00:00:%02d.000+0000"}`, i)
				r := send(t, caller.method, caller.url, body, "Content-Type", "application/json", "X-Envoy-Expected-Rq-Timeout-Ms", caller.timeout)
				if outside := strings.HasPrefix(caller.url, page); outside && (r.status != http.StatusOK || r.header.Get("X-Fallback") != "") {
					t.Errorf("GET %s with %s ms: %d, X-Fallback %q: webapp must not pass the header on", caller.url, caller.timeout, r.status, r.header.Get("X-Fallback"))
				}
			}
			for range 4 {
				if r := send(t, "GET", page+driver, ""); r.status != http.StatusOK || r.header.Get("X-Fallback") != "" {
					t.Errorf("after %s %s with %s ms, others get %d, X-Fallback %q", caller.method, caller.url, caller.timeout, r.status, r.header.Get("X-Fallback"))
				}
				if r := send(t, "POST", tracker+"/vehicles/", `{"name":"Other","lat":53.1,"lng":-1.2}`, "Content-Type", "application/json"); r.status != http.StatusOK {
					t.Errorf("after %s %s with %s ms, a report of others gets %d", caller.method, caller.url, caller.timeout, r.status)
				}
			}
		}
	})
}

// at returns the address of a pod's program.
func (c *command) at(t testing.TB, name string) string {
	t.Helper()
	pod := c.pod(t, name)
	return fmt.Sprintf("http://%s:%d", pod.Address, pod.Port)
}

// setFaults sets the faults of the pods with a name, or clears them.
func setFaults(t testing.TB, fleet *local.Fleet, name, rules string) {
	t.Helper()
	pods, err := faults.Find(fleet.Pods(), name)
	require.NoError(t, err)
	var client faults.Client
	for _, pod := range pods {
		if rules == "" {
			_, err = client.Clear(t.Context(), pod)
		} else {
			_, err = client.Set(t.Context(), pod, rules)
		}
		require.NoError(t, err)
	}
}
