package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"fleetman.example/lab/skip"
)

// command is a `fleetman up` that runs, as a user starts it.
type command struct {
	program, state, out, errors string
	ended                       chan error
	process                     *os.Process
}

// up builds the command and starts k8s/base with it, on addresses of its own: 127.X.third.0/24.
func up(t *testing.T, third int, flags ...string) *command {
	t.Helper()
	dir := t.TempDir()
	c := &command{
		program: filepath.Join(dir, "fleetman"), state: filepath.Join(dir, "state"),
		out: filepath.Join(dir, "stdout"), errors: filepath.Join(dir, "stderr"), ended: make(chan error, 1),
	}
	build := exec.Command("go", "build", "-o", c.program, "./lab/cmd/fleetman")
	build.Dir = root
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building fleetman: %v\n%s", err, text)
	}
	network := fmt.Sprintf("127.%d.%d.", 100+os.Getpid()%100, third)
	flags = append([]string{"up", "--root", root, "--state", c.state, "--network", network + "0/24", "--node-address", network + "250", "--ready-timeout", patience.String()}, flags...)
	cmd := exec.Command(c.program, flags...)
	cmd.Stdout, cmd.Stderr = create(t, c.out), create(t, c.errors)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.process = cmd.Process
	go func() { c.ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // its pods end with it; an error: it has ended
		if t.Failed() {
			t.Logf("fleetman up said:\n%s%s", read(t, c.out), read(t, c.errors))
		}
	})
	return c
}

func create(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ask runs another command of fleetman's against the one that runs.
func (c *command) ask(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(c.program, append(args, "--root", root, "--state", c.state)...).CombinedOutput()
	if err != nil {
		t.Fatalf("fleetman %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// row is a line of the table of pods.
type row struct{ ready, restarts string }

var column = regexp.MustCompile(` {2,}`)

// table reads what `fleetman up` and `fleetman pods` print: the pods by name, and the addresses of
// Services by theirs.
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

// TestFleet is a user's session: start the fleet, watch the vehicles drive along their routes at
// the routes' speeds, lose pods, and stop.
func TestFleet(t *testing.T) {
	c := up(t, 252, "--set", "position-simulator:REPORT_INTERVAL=200ms")
	var pods map[string]row
	var page string
	await(t, "the table and the page's address", func() bool {
		select {
		case err := <-c.ended:
			if text := read(t, c.errors); strings.Contains(text, "run make ui") {
				skip.Without(t, strings.TrimSpace(text))
			}
			t.Fatalf("fleetman up ended: %v", err)
		default:
		}
		var ports map[string]string
		pods, ports = table(read(t, c.out))
		page = ports["fleetman-webapp"]
		return page != ""
	})
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
}

// interrupt is Ctrl-C: all ends within 5 seconds, and nothing stays.
func (c *command) interrupt(t *testing.T, page string) {
	t.Helper()
	var status struct {
		Pods []struct {
			Name string
			PID  int
		}
	}
	if err := json.Unmarshal([]byte(c.ask(t, "pods", "--json")), &status); err != nil {
		t.Fatal(err)
	}
	if err := c.process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-c.ended:
		if err != nil {
			t.Errorf("after Ctrl-C: %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("still there 5 s after Ctrl-C")
	}
	for _, pod := range status.Pods {
		if pod.PID == 0 || syscall.Kill(pod.PID, 0) == nil {
			t.Errorf("%s is still there, process %d", pod.Name, pod.PID)
		}
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(page, "http://")); err == nil {
		conn.Close()
		t.Errorf("%s is still open", page)
	}
	if out, err := exec.Command(c.program, "pods", "--root", root, "--state", c.state).CombinedOutput(); err == nil {
		t.Errorf("fleetman pods after the end: %s", out)
	}
}
