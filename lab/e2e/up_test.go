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
		if names := slices.Sorted(maps.Keys(pods)); !slices.Equal(names, want) {
			t.Errorf("the table has %q", names)
		}
		for name, pod := range pods {
			if pod != (row{"yes", "0"}) {
				t.Errorf("%s: %+v", name, pod)
			}
		}

		routes := shippedRoutes(t)
		drives := watch(t, page, routes, 6*time.Second)
		if len(drives) != len(routes) {
			t.Errorf("%d vehicles drive, %d routes are shipped", len(drives), len(routes))
		}
		for name, d := range drives {
			if problem := d.implausible(routes[name]); problem != "" {
				t.Errorf("%s: %s", name, problem)
			}
		}
		var driver struct{ Name string }
		if !get(t, page+"/api/vehicles/driver/City%20Truck", &driver) || driver.Name != "Pam Parry" {
			t.Errorf("City Truck's driver is %q, want Pam Parry", driver.Name)
		}

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
		if err != nil {
			t.Errorf("after Ctrl-C: %v", err)
		}
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
	if code, stdout, _ := c.run(t, "pods"); code == 0 {
		t.Errorf("fleetman pods after the end: %s", stdout)
	}
}
