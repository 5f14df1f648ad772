package e2e

import (
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/trial"
)

// row is a row of the table of pods.
type row struct{ ready, restarts string }

var column = regexp.MustCompile(` {2,}`)

// table parses the output of fleetman up and fleetman pods: the pods and the addresses of Services, keyed by
// name.
func table(text string) (pods map[string]row, ports map[string]string) {
	pods, ports = map[string]row{}, map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if fields := column.Split(line, -1); len(fields) == 6 && fields[0] != "POD" {
			pods[fields[0]] = row{ready: fields[2], restarts: fields[3]}
		} else if service, address, ok := strings.Cut(line, ": "); ok {
			ports[service] = address
		}
	}
	return pods, ports
}

// TestFleet is a user's session: it starts the fleet, watches the vehicles drive along their routes at the
// routes' speeds, kills pods, and stops the fleet.
func TestFleet(t *testing.T) {
	trial.Run(t, func(t *trial.T) {
		c := launch(t, "--set", "position-simulator:REPORT_INTERVAL=200ms")
		pods, ports := table(read(t, c.out))
		page := ports["fleetman-webapp"]
		want := []string{"api-gateway-0", "position-simulator-0", "position-tracker-0", "staff-service-0", "vehicle-telemetry-0", "webapp-0"}
		assert.Equal(t, want, slices.Sorted(maps.Keys(pods)))
		for name, pod := range pods {
			assert.Equal(t, row{"yes", "0"}, pod, name)
		}

		routes := shippedRoutes(t)
		drives := watch(t, page, routes, 6*time.Second)
		assert.Len(t, drives, len(routes))
		for name, d := range drives {
			assert.Empty(t, d.implausible(routes[name]), name)
		}
		var who struct{ Name string }
		assert.True(t, get(t, page+driver, &who))
		assert.Equal(t, "Pam Parry", who.Name)

		for _, name := range []string{"api-gateway-0", "position-tracker-0"} {
			c.ask(t, "kill", name, "--signal", "KILL")
			await(t, name+" to come back", func() bool {
				pods, _ := table(c.ask(t, "pods"))
				return pods[name] == row{"yes", "1"}
			})
			await(t, "five vehicles without the old "+name, func() bool { return latest(t, page) != nil })
		}
		c.interrupt(t, page)
	})
}

// interrupt sends Ctrl-C. Everything ends, long before the grace period of the pods, which is 75 s.
func (c *command) interrupt(t testing.TB, page string) {
	t.Helper()
	status := c.pods(t)
	require.NoError(t, c.up.Process.Signal(os.Interrupt))
	select {
	case err := <-c.ended:
		assert.NoError(t, err, "after Ctrl-C")
	case <-time.After(time.Minute):
		t.Fatal("running a minute after Ctrl-C")
	}
	for _, pod := range status.Pods {
		if pod.PID == 0 || syscall.Kill(pod.PID, 0) == nil {
			t.Errorf("%s is still running, process %d", pod.Name, pod.PID)
		}
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(page, "http://")); err == nil {
		conn.Close()
		t.Errorf("%s is still open", page)
	}
	code, stdout, _ := c.run(t, "pods")
	assert.NotZero(t, code, "fleetman pods after the end: %s", stdout)
}
