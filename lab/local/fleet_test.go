package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/nettest"
)

// patience is how long a test waits for anything. Only what hangs takes longer, however busy the machine is.
const patience = 2 * time.Minute

// fakeBin has a fake for every program, built once.
var fakeBin = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fleetman-fake-")
	if err != nil {
		return "", err
	}
	first := filepath.Join(dir, sixPrograms[0])
	if out, err := exec.Command("go", "build", "-o", first, "./testdata/fake").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the fake: %w: %s", err, out)
	}
	for _, name := range sixPrograms[1:] {
		if err := os.Link(first, filepath.Join(dir, name)); err != nil {
			return "", err
		}
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := fakeBin(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// testOptions are those of a fleet of fakes that is in nobody's way.
func testOptions(t *testing.T) Options {
	t.Helper()
	bin, err := fakeBin()
	if err != nil {
		t.Fatal(err)
	}
	network := nettest.Network(t)
	return Options{
		Bin: bin, State: t.TempDir(), Network: network, NodeAddress: nettest.Node(network),
		ReadyTimeout: patience, StopTimeout: patience, RestartBackoff: 10 * time.Millisecond,
	}
}

func startFleet(t *testing.T, objects *manifest.Objects, o Options) *Fleet {
	t.Helper()
	f, err := Start(t.Context(), objects, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	return f
}

// await yields events until one of the kind of the pod, which it returns.
func await(t *testing.T, f *Fleet, from int, pod string, kind EventKind) (Event, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n := 0
	for event := range f.Events(ctx) {
		if n++; n > from && event.Pod == pod && event.Kind == kind {
			return event, n
		}
	}
	t.Fatalf("no event %s of %s after number %d; pods %+v", kind, pod, from, f.Pods())
	return Event{}, 0
}

func post(t *testing.T, url string) {
	t.Helper()
	response, err := http.Post(url, "", nil)
	if err != nil {
		if strings.HasSuffix(url, "/exit") {
			return // it exits before it answers
		}
		t.Fatal(err)
	}
	response.Body.Close()
}

// environmentAt asks a fake for its environment, on a new connection.
func environmentAt(address string) (map[string]string, error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + address)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var env map[string]string
	return env, json.NewDecoder(response.Body).Decode(&env)
}

func hostsLines(t *testing.T, f *Fleet, name string) []string {
	t.Helper()
	data, err := os.ReadFile(f.HostsFile())
	if err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == name {
			addresses = append(addresses, fields[0])
		}
	}
	return addresses
}

func podIP(o Options, n int) string {
	ip := o.Network.Addr()
	for range n {
		ip = ip.Next()
	}
	return ip.String()
}

func TestFleetOfBase(t *testing.T) {
	o := testOptions(t)
	o.Replicas = map[string]int{"webapp": 2}
	o.Set = []Setting{{"api-gateway", "COLOUR", "red"}}
	f := startFleet(t, load(t, "../../k8s/base"), o)

	var ready []string
	for _, pod := range f.Pods() {
		if !pod.Ready || pod.Restarts != 0 || pod.PID == 0 || pod.State != "running" {
			t.Errorf("pod %+v", pod)
		}
		ready = append(ready, pod.Name)
	}
	if want := "position-simulator-0 position-tracker-0 vehicle-telemetry-0 staff-service-0 api-gateway-0 webapp-0 webapp-1"; strings.Join(ready, " ") != want {
		t.Errorf("pods %v, want %s", ready, want)
	}
	if got, want := hostsLines(t, f, "fleetman-webapp"), []string{podIP(o, 6), podIP(o, 7)}; !slices.Equal(got, want) {
		t.Errorf("fleetman-webapp is at %v, want %v", got, want)
	}
	env, err := environmentAt(podIP(o, 5) + ":8080")
	if err != nil || env["COLOUR"] != "red" || env["HOSTS_FILE"] != f.HostsFile() || env["HOSTNAME"] != "api-gateway-0" {
		t.Errorf("the gateway's environment is %v, %v", env, err)
	}

	// a NodePort leads to all ready pods
	nodes := f.NodePorts()
	if len(nodes) != 1 || nodes[0].Service != "fleetman-webapp" || nodes[0].Address != netip.AddrPortFrom(o.NodeAddress, 30080) {
		t.Fatalf("NodePorts %+v", nodes)
	}
	seen := map[string]bool{}
	for range 200 { // one of two is missed in 200 draws once in 10^60
		env, err := environmentAt(nodes[0].Address.String())
		if err != nil {
			t.Fatal(err)
		}
		seen[env["HOSTNAME"]] = true
	}
	if !seen["webapp-0"] || !seen["webapp-1"] {
		t.Errorf("the NodePort led to %v alone", seen)
	}
}

func TestFleetPublished(t *testing.T) {
	o := testOptions(t)
	var notes []string
	o.Progress = func(line string) { notes = append(notes, line) }
	f := startFleet(t, load(t, "testdata/published"), o)
	env, err := environmentAt(podIP(o, 8) + ":8080")
	if err != nil || env["VARIANT"] != "bad" || env["SPRING_PROFILES_ACTIVE"] != "production-microservice" {
		t.Errorf("the risky staff-service's environment is %v, %v", env, err)
	}
	if env, err := environmentAt(f.NodePorts()[0].Address.String()); err != nil || !strings.HasPrefix(env["HOSTNAME"], "webapp-") {
		t.Errorf("behind the NodePort: %v, %v", env, err)
	}
	if got, want := hostsLines(t, f, "fleetman-staff-service"), []string{podIP(o, 7), podIP(o, 8)}; !slices.Equal(got, want) {
		t.Errorf("fleetman-staff-service is at %v, want %v", got, want)
	}
	if len(notes) != 2 || !strings.HasPrefix(notes[0], "not applied here: DestinationRule") {
		t.Errorf("notes %q", notes)
	}
}

// TestNamespaces: a pod's hosts file has the short names of its own namespace.
func TestNamespaces(t *testing.T) {
	apart := strings.ReplaceAll(one("", "{port: 8080}"), "metadata: {name:", "metadata: {namespace: apart, name:")
	o := testOptions(t)
	f := startFleet(t, decode(t, strings.Join([]string{one("", "{port: 8080}"), apart}, "---\n")), o)
	for _, pod := range f.Pods() {
		env, err := environmentAt(pod.Address + ":8080")
		if err != nil {
			t.Fatal(err)
		}
		hosts, err := os.ReadFile(env["HOSTS_FILE"])
		if err != nil {
			t.Fatal(err)
		}
		namespace, _, found := strings.Cut(pod.Name, "/")
		if !found {
			namespace = "default"
		}
		if want := fmt.Sprintf("\n%s staff staff.%s ", pod.Address, namespace); !strings.Contains(string(hosts), want) {
			t.Errorf("pod %s: hosts file %s\n%s\nwant %q", pod.Name, env["HOSTS_FILE"], hosts, want)
		}
	}
	f.Stop()
	if left, err := filepath.Glob(filepath.Join(o.State, "hosts*")); err != nil || len(left) > 0 {
		t.Errorf("hosts files left behind: %v, %v", left, err)
	}
}

// TestServicePort: the ports of a pod's Services answer, and no others.
func TestServicePort(t *testing.T) {
	o := testOptions(t)
	startFleet(t, decode(t, one("", "{name: a, port: 8070, targetPort: 8080}, {name: b, port: 8090, targetPort: 8080}, {name: c, port: 8080, targetPort: 9999}")), o)
	for port, open := range map[string]bool{"8070": true, "8090": true, "8080": false, "9999": false} {
		env, err := environmentAt(podIP(o, 1) + ":" + port)
		if open && (err != nil || env["HOSTNAME"] != "staff-0") || !open && !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("port %s: %v, %v, want open: %v", port, env, err, open)
		}
	}
}

// quickProbes makes probes that see a change at their next look.
const quickProbes = `, env: [{name: ADMIN_ADDR, value: ":9090"}], ports: [{name: admin, containerPort: 9090}], readinessProbe: {httpGet: {path: /readyz, port: admin}, periodSeconds: 1, failureThreshold: 1},
  livenessProbe: {httpGet: {path: /healthz, port: admin}, periodSeconds: 1, failureThreshold: 1}`

func TestRestartAfterExit(t *testing.T) {
	o := testOptions(t)
	f := startFleet(t, decode(t, one(quickProbes, "{port: 8080}")), o)
	before := f.Pods()[0].PID
	post(t, "http://"+podIP(o, 1)+":8080/exit")
	exited, n := await(t, f, 0, "staff-0", Exited)
	if exited.Detail != "exit status 4" || exited.Restarts != 0 {
		t.Errorf("the exit is %+v", exited)
	}
	_, n = await(t, f, n, "staff-0", NotReady)
	_, n = await(t, f, n, "staff-0", Started)
	if event, _ := await(t, f, n, "staff-0", Ready); event.Restarts != 1 {
		t.Errorf("ready again: %+v", event)
	}
	if pod := f.Pods()[0]; pod.Restarts != 1 || pod.PID == before || !pod.Ready {
		t.Errorf("pod %+v, before it was process %d", pod, before)
	}
}

func TestReadinessAndLiveness(t *testing.T) {
	o := testOptions(t)
	f := startFleet(t, decode(t, one(quickProbes, "{port: 8080}")), o)
	app := "http://" + podIP(o, 1) + ":8080"

	post(t, app+"/unready")
	event, n := await(t, f, 0, "staff-0", NotReady)
	if !strings.HasPrefix(event.Detail, "readiness probe failed: GET http://"+podIP(o, 1)+":9090/readyz: status 503: bad") {
		t.Errorf("the event is %+v", event)
	}
	if got := hostsLines(t, f, "staff"); !slices.Equal(got, []string{o.Network.Addr().String()}) {
		t.Errorf("with no pod ready, staff is at %v, want the refusing address %v", got, o.Network.Addr())
	}
	if conn, err := net.Dial("tcp", o.Network.Addr().String()+":8080"); err == nil {
		conn.Close()
		t.Error("the refusing address accepts connections")
	}
	post(t, app+"/ready")
	_, n = await(t, f, n, "staff-0", Ready)
	if got := hostsLines(t, f, "staff"); !slices.Equal(got, []string{podIP(o, 1)}) {
		t.Errorf("ready again, staff is at %v", got)
	}

	post(t, app+"/sick")
	event, n = await(t, f, n, "staff-0", Terminating)
	if !strings.HasPrefix(event.Detail, "liveness probe failed: ") {
		t.Errorf("the event is %+v", event)
	}
	_, n = await(t, f, n, "staff-0", Exited)
	await(t, f, n, "staff-0", Ready)
}

// TestKill: SIGTERM first takes the pod out of the endpoints, waits for the
// preStop sleep and lets it drain; other signals are sent at once.
func TestKill(t *testing.T) {
	o := testOptions(t)
	f := startFleet(t, decode(t, one(quickProbes+", lifecycle: {preStop: {sleep: {seconds: 1}}}", "{port: 8080}")), o)
	pid := f.Pods()[0].PID
	did, err := f.Kill("staff-0", syscall.SIGTERM)
	if want := fmt.Sprintf("staff-0 (process %d) leaves its endpoints, gets SIGTERM after 1s and SIGKILL after 30s, and is started again", pid); err != nil || did != want {
		t.Fatalf("killed: %q, %v; want %q", did, err, want)
	}
	if did, err := f.Kill("staff-0", syscall.SIGTERM); err != nil || did != "staff-0 is already terminating" {
		t.Errorf("killed again: %q, %v", did, err)
	}
	if got := hostsLines(t, f, "staff"); !slices.Equal(got, []string{o.Network.Addr().String()}) {
		t.Errorf("on its way out, staff is at %v", got)
	}
	if _, err := environmentAt(podIP(o, 1) + ":8080"); err != nil {
		t.Errorf("in its preStop sleep: %v", err)
	}
	terminating, n := await(t, f, 0, "staff-0", Terminating)
	exited, n := await(t, f, n, "staff-0", Exited)
	if waited := exited.Time.Sub(terminating.Time); exited.Detail != "exit status 0" || waited < time.Second {
		t.Errorf("it exited with %q after %v, want exit status 0 after 1 s or more", exited.Detail, waited)
	}
	_, n = await(t, f, n, "staff-0", Ready)

	if _, err := f.Kill("staff", syscall.SIGKILL); err != nil { // by its Deployment's name
		t.Fatal(err)
	}
	if exited, _ := await(t, f, n, "staff-0", Exited); exited.Detail != "signal: killed" {
		t.Errorf("it exited with %q", exited.Detail)
	}
	if _, err := f.Kill("stuff", syscall.SIGTERM); err == nil || err.Error() != `no pod "stuff"; there are staff-0` {
		t.Errorf("killing nobody: %v", err)
	}
}

// TestRestartThatFails: while a program is missing its pod waits, with the next
// try and the reason in its status, in an event and in Kill's error; then it
// comes back by itself.
func TestRestartThatFails(t *testing.T) {
	o := testOptions(t)
	program, aside := filepath.Join(t.TempDir(), "staff-service"), filepath.Join(t.TempDir(), "aside")
	if err := os.Link(filepath.Join(o.Bin, "staff-service"), program); err != nil {
		t.Fatal(err)
	}
	o.Bin = filepath.Dir(program)
	f := startFleet(t, decode(t, one(quickProbes, "{port: 8080}")), o)
	if err := os.Rename(program, aside); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Kill("staff-0", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	missing := "fork/exec " + program + ": no such file or directory"
	event, n := await(t, f, 0, "staff-0", Waiting)
	if !strings.HasPrefix(event.Detail, missing+": next try in ") {
		t.Errorf("the event is %+v", event)
	}
	if pod := f.Pods()[0]; pod.State != "waiting" || pod.Why != missing || pod.NextTry.IsZero() || pod.Ready {
		t.Errorf("the pod is %+v", pod)
	}
	if did, err := f.Kill("staff-0", syscall.SIGKILL); err == nil || !strings.HasPrefix(err.Error(), "pod staff-0: no process: waiting, next try at ") || !strings.HasSuffix(err.Error(), ": "+missing) {
		t.Errorf("killed meanwhile: %q, %v", did, err)
	}
	for range 10 { // more than at the start of a fleet: now it never gives up
		_, n = await(t, f, n, "staff-0", Waiting)
	}
	if err := os.Rename(aside, program); err != nil {
		t.Fatal(err)
	}
	_, n = await(t, f, n, "staff-0", Started)
	await(t, f, n, "staff-0", Ready)
	if pod := f.Pods()[0]; pod.State != "running" || pod.Why != "" || !pod.NextTry.IsZero() || pod.Restarts != 1 {
		t.Errorf("back, the pod is %+v", pod)
	}
}

// TestFullDisk: hosts files that cannot be written are written again until they
// can, and until then no pod is ready.
func TestFullDisk(t *testing.T) {
	o := testOptions(t)
	var full atomic.Bool
	o.writeFile = func(path string, data []byte) error {
		if full.Load() {
			return fmt.Errorf("write %s: %w", path, syscall.ENOSPC)
		}
		return WriteFile(path, data)
	}
	f := startFleet(t, decode(t, one(quickProbes, "{port: 8080}")), o)
	full.Store(true)
	if _, err := f.Kill("staff-0", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	why := "write " + f.HostsFile() + ": no space left on device"
	event, n := await(t, f, 0, "hosts files", NotReady)
	if event.Detail != why+": written again until it succeeds" {
		t.Errorf("the event is %+v", event)
	}
	_, n = await(t, f, n, "staff-0", Ready) // by its probe: the disk is still full
	if pod := f.Pods()[0]; pod.Ready || pod.Why != why || pod.State != "running" {
		t.Errorf("with stale names the pod is %+v", pod)
	}
	full.Store(false)
	await(t, f, n, "hosts files", Ready)
	if pod := f.Pods()[0]; !pod.Ready || pod.Why != "" {
		t.Errorf("with room the pod is %+v", pod)
	}
	if got := hostsLines(t, f, "staff"); !slices.Equal(got, []string{podIP(o, 1)}) {
		t.Errorf("staff is at %v", got)
	}
}

// TestStop: a process that will not end is killed, one that drains may.
func TestStop(t *testing.T) {
	o := testOptions(t)
	o.Set = []Setting{{"staff-service", "FAKE_IGNORE_TERM", "true"}, {"api-gateway", "FAKE_DRAIN", "50ms"}}
	o.StopTimeout = 3 * time.Second // enough to drain, on a busy machine
	f := startFleet(t, load(t, "../../k8s/base"), o)
	pods := f.Pods()
	f.Stop()
	f.Stop() // again, does nothing
	for _, pod := range pods {
		if err := syscall.Kill(pod.PID, 0); err != syscall.ESRCH {
			t.Errorf("pod %s: process %d: %v, want none", pod.Name, pod.PID, err)
		}
	}
	how := map[string]string{}
	for event := range f.Events(t.Context()) { // ends, as the fleet has
		if event.Kind == Exited {
			how[event.Pod] = event.Detail
		}
	}
	if how["staff-service-0"] != "signal: killed" || how["api-gateway-0"] != "exit status 0" || len(how) != 6 {
		t.Errorf("they ended with %v", how)
	}
	if _, err := os.Stat(f.HostsFile()); !os.IsNotExist(err) {
		t.Errorf("the hosts file is left: %v", err)
	}
	if _, err := net.Dial("tcp", netip.AddrPortFrom(o.NodeAddress, 30080).String()); err == nil {
		t.Error("the NodePort is still open")
	}
}

func TestStartFailures(t *testing.T) {
	staff := one(quickProbes, "{port: 8080}")
	for _, test := range []struct {
		name   string
		change func(t *testing.T, o *Options)
		want   string // with NET for the network
		last   string // the last line of the pod's log
	}{
		{
			"a pod that exits at once", func(_ *testing.T, o *Options) { o.Set = []Setting{{"staff", "FAKE_EXIT", "3"}} },
			"pod staff-0: given up because it failed 5 times, last with exit status 3; its log is STATE/logs/staff-0.log", "fake: FAKE_EXIT is set",
		},
		{
			"a pod that never gets ready", func(_ *testing.T, o *Options) {
				o.Set = []Setting{{"staff", "FAKE_UNREADY", "true"}}
				o.ReadyTimeout = 300 * time.Millisecond
			},
			"pod staff-0: not ready after 300ms; its log is STATE/logs/staff-0.log", "fake: ends",
		},
		{
			"a program that cannot be started", func(t *testing.T, o *Options) {
				o.Bin = t.TempDir()
				if err := os.WriteFile(filepath.Join(o.Bin, "staff-service"), []byte("no program"), 0o755); err != nil {
					t.Fatal(err)
				}
			},
			"pod staff-0: given up because it failed 5 times, last with fork/exec BIN/staff-service: exec format error; its log is STATE/logs/staff-0.log", "",
		},
		{
			"the pod's port in use", func(t *testing.T, o *Options) { occupy(t, podIP(*o, 1)+":8080") },
			"pod staff-0: its port: NET.1:8080 is in use: stop the program that listens there, or take other addresses with --network", "",
		},
		{
			"its admin port in use", func(t *testing.T, o *Options) { occupy(t, podIP(*o, 1)+":9090") },
			"pod staff-0: its admin port: NET.1:9090 is in use: stop the program that listens there, or take other addresses with --network", "",
		},
		{
			"the NodePort in use", func(t *testing.T, o *Options) { occupy(t, o.NodeAddress.String()+":30081") },
			"NodePort 30081 of Service staff: NET.250:30081 is in use: stop the program that listens there, or take other addresses with --node-address, or another port with --node-port", "",
		},
		{
			"addresses of somebody else", func(_ *testing.T, o *Options) { o.Network = netip.MustParsePrefix("192.0.2.0/24") },
			"this system has no address 192.0.2.1; give --network a loopback network, such as 127.0.1.0/24", "",
		},
		{
			"a state directory that is a file", func(t *testing.T, o *Options) {
				o.State = filepath.Join(o.State, "file")
				if err := os.WriteFile(o.State, nil, 0o644); err != nil {
					t.Fatal(err)
				}
			},
			"state directory: mkdir STATE: not a directory", "",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := testOptions(t)
			test.change(t, &o)
			text := strings.Replace(staff, "ports: [{port: 8080}]", "type: NodePort, ports: [{port: 8080, nodePort: 30081}]", 1)
			early := CheckStart(decode(t, text), o)
			f, err := Start(t.Context(), decode(t, text), o)
			if err == nil {
				f.Stop()
				t.Fatal("started")
			}
			if strings.Contains(test.name, "in use") && (early == nil || early.Error() != err.Error()) {
				t.Errorf("CheckStart: got %v, want the error of Start", early)
			}
			network := strings.TrimSuffix(o.Network.Addr().String(), ".0")
			got := strings.NewReplacer(o.State, "STATE", o.Bin, "BIN", network, "NET").Replace(err.Error())
			if o.Network.Addr().String() == "192.0.2.0" {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("\n got %q\nwant %q", got, test.want)
			}
			if late, ok := err.(*NotReadyError); ok && test.name == "a pod that exits at once" {
				if len(late.Last) == 0 || late.Last[len(late.Last)-1] != test.last {
					t.Errorf("the log's last lines are %q, want %q at the end", late.Last, test.last)
				}
			}
		})
	}
}

func occupy(t *testing.T, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
}

func TestSecondFleetOnTheSameState(t *testing.T) {
	o := testOptions(t)
	f := startFleet(t, decode(t, one("", "{port: 8080}")), o)
	second := testOptions(t)
	second.State = o.State
	_, err := Start(t.Context(), decode(t, one("", "{port: 8080}")), second)
	want := fmt.Sprintf("another fleet runs in %s (process %d): end it with fleetman down, or choose another directory with --state, and other addresses with --network and --node-address", o.State, os.Getpid())
	if err == nil || err.Error() != want {
		t.Errorf("\n got %v\nwant %s", err, want)
	}
	f.Stop()
	startFleet(t, decode(t, one("", "{port: 8080}")), second) // the lock goes with the fleet
}

func TestStartInterrupted(t *testing.T) {
	o := testOptions(t)
	o.Set = []Setting{{"staff", "FAKE_UNREADY", "true"}}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Start(ctx, decode(t, one(quickProbes, "{port: 8080}")), o); err == nil || err.Error() != "start the fleet: context deadline exceeded" {
		t.Errorf("interrupted: %v", err)
	}
	occupy(t, podIP(o, 1)+":8080") // nothing is left there
}

func TestLogs(t *testing.T) {
	o := testOptions(t)
	o.Replicas = map[string]int{"staff": 2}
	f := startFleet(t, decode(t, one("", "{port: 8080}")), o)
	var plain, prefixed bytes.Buffer
	if err := f.Logs(t.Context(), "staff-1", LogOptions{}, &plain); err != nil || plain.String() != "fake: started staff-1\n" {
		t.Errorf("the log is %q, %v", plain.String(), err)
	}
	if err := f.Logs(t.Context(), "all", LogOptions{Prefix: true}, &prefixed); err != nil || prefixed.String() != "staff-0 | fake: started staff-0\nstaff-1 | fake: started staff-1\n" {
		t.Errorf("all logs are %q, %v", prefixed.String(), err)
	}
	if err := f.Logs(t.Context(), "nobody", LogOptions{}, io.Discard); err == nil || err.Error() != `no pod "nobody"; there are staff-0, staff-1` {
		t.Errorf("the log of nobody: %v", err)
	}

	// followed, it goes on to the fleet's end
	var followed bytes.Buffer
	done := make(chan error)
	go func() { done <- f.Logs(t.Context(), "staff-0", LogOptions{Follow: true}, &followed) }()
	f.Stop()
	if err := <-done; err != nil || followed.String() != "fake: started staff-0\nfake: ends\n" {
		t.Errorf("the followed log is %q, %v", followed.String(), err)
	}
}
