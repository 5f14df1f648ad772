package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

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
		code, stdout, stderr := c.run(t, "fault", "verify")
		if rows := regexp.MustCompile(`(?m)^(delay|status|rate|reset|hang|truncate|slow|capacity|idle|crash|connect=hang|connect=delay|connect=cut) `).FindAllString(stdout, -1); code != 0 || len(rows) != 2*10+3 {
			t.Errorf("exit code %d, %d rows, want 0 and 23:\n%s%s", code, len(rows), stdout, stderr)
		}
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
				status, header := c.send(t, caller.method, caller.url, body, caller.timeout)
				if outside := strings.HasPrefix(caller.url, page); outside && (status != http.StatusOK || header.Get("X-Fallback") != "") {
					t.Errorf("GET %s with %s ms: %d, X-Fallback %q: webapp must not pass the header on", caller.url, caller.timeout, status, header.Get("X-Fallback"))
				}
			}
			for range 4 {
				status, header := c.send(t, "GET", page+driver, "", "")
				if status != http.StatusOK || header.Get("X-Fallback") != "" {
					t.Errorf("after %s %s with %s ms, others get %d, X-Fallback %q", caller.method, caller.url, caller.timeout, status, header.Get("X-Fallback"))
				}
				if status, _ := c.send(t, "POST", tracker+"/vehicles/", `{"name":"Other","lat":53.1,"lng":-1.2}`, ""); status != http.StatusOK {
					t.Errorf("after %s %s with %s ms, a report of others gets %d", caller.method, caller.url, caller.timeout, status)
				}
			}
		}
	})
}

// at returns the address of a pod's program.
func (c *command) at(t testing.TB, name string) string {
	t.Helper()
	pods := c.pods(t).Pods
	i := slices.IndexFunc(pods, func(p local.Pod) bool { return p.Name == name })
	if i < 0 {
		t.Fatalf("no pod %s", name)
	}
	return fmt.Sprintf("http://%s:%d", pods[i].Address, pods[i].Port)
}

// send sends a request with the time, in ms, that its caller has; "" means no limit.
func (c *command) send(t testing.TB, method, url, body, timeout string) (status int, header http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if timeout != "" {
		request.Header.Set("X-Envoy-Expected-Rq-Timeout-Ms", timeout)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Header
}
