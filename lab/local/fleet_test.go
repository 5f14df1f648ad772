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
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/local/fakes"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/nettest"
	"fleetman.example/lab/wants"
)

// patience is how long a test waits for anything. Only what hangs takes longer, however busy the machine is.
const patience = 2 * time.Minute

// fakeBin has a fake for every program, built once.
var fakeBin = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fleetman-fake-")
	if err != nil {
		return "", err
	}
	return dir, fakes.Build(dir)
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
	require.NoError(t, err)
	network := nettest.Network(t)
	return Options{
		Bin: bin, State: t.TempDir(), Network: network, NodeAddress: nettest.Node(network),
		ReadyTimeout: patience, StopTimeout: patience, RestartBackoff: 10 * time.Millisecond,
	}
}

func startFleet(t *testing.T, objects *manifest.Objects, o Options) *Fleet {
	t.Helper()
	f, err := Start(t.Context(), objects, o)
	require.NoError(t, err)
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

// envAt returns the environment of the fake at an address.
func envAt(t *testing.T, address string) map[string]string {
	t.Helper()
	env, err := environmentAt(address)
	require.NoError(t, err)
	return env
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
	err = json.NewDecoder(response.Body).Decode(&env)
	return env, err
}

// hostsLines returns the addresses of a name in the hosts file.
func hostsLines(t *testing.T, f *Fleet, name string) []string {
	t.Helper()
	require.FileExists(t, f.HostsFile())
	addresses, _ := LookUp(f.HostsFile(), name) // an error means that there are none
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
		assert.True(t, pod.Ready && pod.Restarts == 0 && pod.PID > 0 && pod.State == "running", "pod %+v", pod)
		ready = append(ready, pod.Name)
	}
	assert.Equal(t, "position-simulator-0 position-tracker-0 vehicle-telemetry-0 staff-service-0 api-gateway-0 webapp-0 webapp-1", strings.Join(ready, " "), "pods")
	assert.Equal(t, []string{podIP(o, 6), podIP(o, 7)}, hostsLines(t, f, "fleetman-webapp"), "fleetman-webapp")
	env := envAt(t, podIP(o, 5)+":8080")
	assert.Equal(t, []string{"red", f.HostsFile(), "api-gateway-0"}, []string{env["COLOUR"], env["HOSTS_FILE"], env["HOSTNAME"]}, "the gateway")

	// a NodePort leads to all ready pods
	nodes := f.NodePorts()
	require.Equal(t, []NodePort{{Service: "fleetman-webapp", Name: "http", Declared: 30080, Address: netip.AddrPortFrom(o.NodeAddress, 30080)}}, nodes, "NodePorts")
	seen := map[string]bool{}
	for range 200 { // one of two is missed in 200 draws once in 10^60
		seen[envAt(t, nodes[0].Address.String())["HOSTNAME"]] = true
	}
	assert.Equal(t, map[string]bool{"webapp-0": true, "webapp-1": true}, seen, "pods behind the NodePort")
}

func TestFleetPublished(t *testing.T) {
	o := testOptions(t)
	var notes []string
	o.Progress = func(line string) { notes = append(notes, line) }
	f := startFleet(t, load(t, "testdata/published"), o)
	env := envAt(t, podIP(o, 8)+":8080")
	assert.Equal(t, []string{"bad", "production-microservice"}, []string{env["VARIANT"], env["SPRING_PROFILES_ACTIVE"]}, "the risky staff-service")
	wants.Text(t, "the pod behind the NodePort", envAt(t, f.NodePorts()[0].Address.String())["HOSTNAME"], "webapp-…")
	assert.Equal(t, []string{podIP(o, 7), podIP(o, 8)}, hostsLines(t, f, "fleetman-staff-service"), "fleetman-staff-service")
	require.Len(t, notes, 2, "notes")
	wants.Text(t, "the first note", notes[0], "not applied here: DestinationRule…")
}

// TestNamespaces: a pod's hosts file has the short names of its own namespace.
func TestNamespaces(t *testing.T) {
	apart := strings.ReplaceAll(one("", "{port: 8080}"), "metadata: {name:", "metadata: {namespace: apart, name:")
	o := testOptions(t)
	f := startFleet(t, decode(t, strings.Join([]string{one("", "{port: 8080}"), apart}, "---\n")), o)
	for _, pod := range f.Pods() {
		env := envAt(t, pod.Address+":8080")
		hosts, err := os.ReadFile(env["HOSTS_FILE"])
		require.NoError(t, err)
		namespace, _, found := strings.Cut(pod.Name, "/")
		if !found {
			namespace = "default"
		}
		assert.Contains(t, string(hosts), fmt.Sprintf("\n%s staff staff.%s ", pod.Address, namespace), "hosts file of pod %s", pod.Name)
	}
	f.Stop()
	left, _ := filepath.Glob(filepath.Join(o.State, "hosts*"))
	assert.Empty(t, left, "hosts files left behind")
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

// quickProbes makes probes that see a change at their next look, but no failure in a program that waits for a processor.
const quickProbes = `, env: [{name: ADMIN_ADDR, value: ":9090"}], ports: [{name: admin, containerPort: 9090}], readinessProbe: {httpGet: {path: /readyz, port: admin}, periodSeconds: 1, timeoutSeconds: 60, failureThreshold: 1},
  livenessProbe: {httpGet: {path: /healthz, port: admin}, periodSeconds: 1, timeoutSeconds: 60, failureThreshold: 1}`

func TestRestartAfterExit(t *testing.T) {
	o := testOptions(t)
	f := startFleet(t, decode(t, one(quickProbes, "{port: 8080}")), o)
	before := f.Pods()[0].PID
	post(t, "http://"+podIP(o, 1)+":8080/exit")
	exited, n := await(t, f, 0, "staff-0", Exited)
	assert.Equal(t, []any{"exit status 4", 0}, []any{exited.Detail, exited.Restarts}, "exit, and restarts before it")
	_, n = await(t, f, n, "staff-0", NotReady)
	_, n = await(t, f, n, "staff-0", Started)
	event, _ := await(t, f, n, "staff-0", Ready)
	assert.Equal(t, 1, event.Restarts, "restarts when ready again")
	pod := f.Pods()[0]
	assert.True(t, pod.Restarts == 1 && pod.PID != before && pod.Ready, "pod %+v, before it was process %d", pod, before)
}

func TestReadinessAndLiveness(t *testing.T) {
	o := testOptions(t)
	f := startFleet(t, decode(t, one(quickProbes, "{port: 8080}")), o)
	app := "http://" + podIP(o, 1) + ":8080"

	post(t, app+"/unready")
	event, n := await(t, f, 0, "staff-0", NotReady)
	wants.Text(t, "the event", event.Detail, "readiness probe failed: GET http://"+podIP(o, 1)+":9090/readyz: status 503: bad…")
	assert.Equal(t, []string{o.Network.Addr().String()}, hostsLines(t, f, "staff"), "staff, with no pod ready") // which refuses
	_, err := net.Dial("tcp", o.Network.Addr().String()+":8080")
	assert.ErrorIs(t, err, syscall.ECONNREFUSED, "the refusing address")
	post(t, app+"/ready")
	_, n = await(t, f, n, "staff-0", Ready)
	assert.Equal(t, []string{podIP(o, 1)}, hostsLines(t, f, "staff"), "staff, ready again")

	post(t, app+"/sick")
	event, n = await(t, f, n, "staff-0", Terminating)
	wants.Text(t, "the event", event.Detail, "liveness probe failed: …")
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
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprintf("staff-0 (process %d) leaves its endpoints, gets SIGTERM after 1s and SIGKILL after 30s, and is started again", pid), did, "killed")
	did, err = f.Kill("staff-0", syscall.SIGTERM)
	require.NoError(t, err)
	assert.Equal(t, "staff-0 is already terminating", did, "killed again")
	assert.Equal(t, []string{o.Network.Addr().String()}, hostsLines(t, f, "staff"), "staff on its way out")
	envAt(t, podIP(o, 1)+":8080") // it answers in its preStop sleep
	terminating, n := await(t, f, 0, "staff-0", Terminating)
	exited, n := await(t, f, n, "staff-0", Exited)
	assert.Equal(t, "exit status 0", exited.Detail, "exit")
	assert.GreaterOrEqual(t, exited.Time.Sub(terminating.Time), time.Second, "time until the exit")
	_, n = await(t, f, n, "staff-0", Ready)

	_, err = f.Kill("staff", syscall.SIGKILL) // by its Deployment's name
	require.NoError(t, err)
	exited, _ = await(t, f, n, "staff-0", Exited)
	assert.Equal(t, "signal: killed", exited.Detail, "exit")
	_, err = f.Kill("stuff", syscall.SIGTERM)
	wants.Error(t, "killing nobody", err, `"stuff": must be a pod: staff-0`)
}

// TestRestartThatFails: while a program is missing its pod waits, with the next
// try and the reason in its status, in an event and in Kill's error; then it
// comes back by itself.
func TestRestartThatFails(t *testing.T) {
	o := testOptions(t)
	program, aside := filepath.Join(t.TempDir(), "staff-service"), filepath.Join(t.TempDir(), "aside")
	require.NoError(t, os.Link(filepath.Join(o.Bin, "staff-service"), program))
	o.Bin = filepath.Dir(program)
	f := startFleet(t, decode(t, one(quickProbes, "{port: 8080}")), o)
	require.NoError(t, os.Rename(program, aside))
	_, err := f.Kill("staff-0", syscall.SIGKILL)
	require.NoError(t, err)
	missing := "fork/exec " + program + ": no such file or directory"
	event, n := await(t, f, 0, "staff-0", Waiting)
	wants.Text(t, "the event", event.Detail, missing+": next try in …")
	pod := f.Pods()[0]
	assert.True(t, pod.State == "waiting" && pod.Why == missing && !pod.NextTry.IsZero() && !pod.Ready, "pod %+v", pod)
	_, err = f.Kill("staff-0", syscall.SIGKILL)
	wants.Error(t, "killed meanwhile", err, "pod staff-0: no process: waiting, next try at …: "+missing)
	for range 10 { // more than at the start of a fleet: now it never gives up
		_, n = await(t, f, n, "staff-0", Waiting)
	}
	require.NoError(t, os.Rename(aside, program))
	_, n = await(t, f, n, "staff-0", Started)
	await(t, f, n, "staff-0", Ready)
	pod = f.Pods()[0]
	assert.True(t, pod.State == "running" && pod.Why == "" && pod.NextTry.IsZero() && pod.Restarts == 1, "back, the pod is %+v", pod)
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
	_, err := f.Kill("staff-0", syscall.SIGKILL)
	require.NoError(t, err)
	why := "write " + f.HostsFile() + ": no space left on device"
	event, n := await(t, f, 0, "hosts files", NotReady)
	assert.Equal(t, why+": written again until it succeeds", event.Detail, "the event")
	_, n = await(t, f, n, "staff-0", Ready) // by its probe: the disk is still full
	pod := f.Pods()[0]
	assert.Equal(t, []any{false, why, "running"}, []any{pod.Ready, pod.Why, pod.State}, "the pod with stale names")
	full.Store(false)
	await(t, f, n, "hosts files", Ready)
	pod = f.Pods()[0]
	assert.Equal(t, []any{true, ""}, []any{pod.Ready, pod.Why}, "the pod with room")
	assert.Equal(t, []string{podIP(o, 1)}, hostsLines(t, f, "staff"), "staff")
}

// TestStop: a process may take its time to end, until StopTimeout.
func TestStop(t *testing.T) {
	o := testOptions(t)
	o.Set = []Setting{{"api-gateway", "FAKE_DRAIN", "50ms"}}
	f := startFleet(t, load(t, "../../k8s/base"), o)
	pods := f.Pods()
	f.Stop()
	f.Stop() // again, does nothing
	for _, pod := range pods {
		assert.ErrorIs(t, syscall.Kill(pod.PID, 0), syscall.ESRCH, "pod "+pod.Name)
		assert.Equal(t, "exit status 0", exits(t, f)[pod.Name], "pod "+pod.Name)
	}
	assert.Len(t, pods, 6, "pods")
	assert.NoFileExists(t, f.HostsFile())
	_, err := net.Dial("tcp", netip.AddrPortFrom(o.NodeAddress, 30080).String())
	assert.ErrorIs(t, err, syscall.ECONNREFUSED, "the NodePort")
}

// TestStopKills: a process that does not end is killed.
func TestStopKills(t *testing.T) {
	o := testOptions(t)
	o.Set = []Setting{{"staff", "FAKE_IGNORE_TERM", "true"}}
	o.StopTimeout = 100 * time.Millisecond
	f := startFleet(t, decode(t, one(quickProbes, "{port: 8080}")), o) // ready: it ignores the signal from now on
	pid := f.Pods()[0].PID
	f.Stop()
	assert.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH, "the pod")
	assert.Equal(t, map[string]string{"staff-0": "signal: killed"}, exits(t, f), "exits")
}

// exits returns how the pods of a fleet that has ended have exited.
func exits(t *testing.T, f *Fleet) map[string]string {
	t.Helper()
	how := map[string]string{}
	for event := range f.Events(t.Context()) { // ends, as the fleet has
		if event.Kind == Exited {
			how[event.Pod] = event.Detail
		}
	}
	return how
}

func TestStartFailures(t *testing.T) {
	staff := one(quickProbes, "{port: 8080}")
	for _, test := range []struct {
		name   string
		change func(t *testing.T, o *Options)
		want   string // with NET for the network
	}{
		{
			"a pod that exits at once", func(_ *testing.T, o *Options) { o.Set = []Setting{{"staff", "FAKE_EXIT", "3"}} },
			"pod staff-0: given up because it failed 5 times, last with exit status 3; its log is STATE/logs/staff-0.log, which ends with\n  fake: FAKE_EXIT is set",
		},
		{
			"a pod that never gets ready", func(_ *testing.T, o *Options) {
				o.Set = []Setting{{"staff", "FAKE_UNREADY", "true"}}
				o.ReadyTimeout = 300 * time.Millisecond
			},
			"pod staff-0: not ready after 300ms; its log is STATE/logs/staff-0.log",
		},
		{
			"a program that cannot be started", func(t *testing.T, o *Options) {
				o.Bin = t.TempDir()
				require.NoError(t, os.WriteFile(filepath.Join(o.Bin, "staff-service"), []byte("no program"), 0o755))
			},
			"pod staff-0: given up because it failed 5 times, last with fork/exec BIN/staff-service: exec format error; its log is STATE/logs/staff-0.log",
		},
		{
			"the pod's port in use", func(t *testing.T, o *Options) { occupy(t, podIP(*o, 1)+":8080") },
			"pod staff-0: its port: NET.1:8080 is in use: stop the program that listens there, or take other addresses with --network",
		},
		{
			"its admin port in use", func(t *testing.T, o *Options) { occupy(t, podIP(*o, 1)+":9090") },
			"pod staff-0: its admin port: NET.1:9090 is in use: stop the program that listens there, or take other addresses with --network",
		},
		{
			"the NodePort in use", func(t *testing.T, o *Options) { occupy(t, o.NodeAddress.String()+":30081") },
			"NodePort 30081 of Service staff: NET.250:30081 is in use: stop the program that listens there, or take other addresses with --node-address, or another port with --node-port",
		},
		{
			"addresses of somebody else", func(_ *testing.T, o *Options) { o.Network = netip.MustParsePrefix("192.0.2.0/24") },
			"this system has no address 192.0.2.1; give --network a loopback network, such as 127.0.1.0/24",
		},
		{
			"a state directory that is a file", func(t *testing.T, o *Options) {
				o.State = filepath.Join(o.State, "file")
				require.NoError(t, os.WriteFile(o.State, nil, 0o644))
			},
			"state directory: mkdir STATE: not a directory",
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
			if test.name == "a pod that never gets ready" {
				got, _, _ = strings.Cut(got, ", which ends with") // it may have printed a line by then
			}
			assert.Equal(t, test.want, got, "error")
		})
	}
}

func occupy(t *testing.T, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
}

func TestSecondFleetOnTheSameState(t *testing.T) {
	o := testOptions(t)
	f := startFleet(t, decode(t, one("", "{port: 8080}")), o)
	second := testOptions(t)
	second.State = o.State
	_, err := Start(t.Context(), decode(t, one("", "{port: 8080}")), second)
	want := fmt.Sprintf("another fleet runs in %s (process %d): end it with fleetman down, or choose another directory with --state, and other addresses with --network and --node-address", o.State, os.Getpid())
	wants.Error(t, "the same state", err, want)
	f.Stop()
	startFleet(t, decode(t, one("", "{port: 8080}")), second) // the lock goes with the fleet
}

func TestStartInterrupted(t *testing.T) {
	o := testOptions(t)
	o.Set = []Setting{{"staff", "FAKE_UNREADY", "true"}}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := Start(ctx, decode(t, one(quickProbes, "{port: 8080}")), o)
	wants.Error(t, "interrupted", err, "start the fleet: context deadline exceeded")
	occupy(t, podIP(o, 1)+":8080") // nothing is left there
}

func TestLogs(t *testing.T) {
	o := testOptions(t)
	o.Replicas = map[string]int{"staff": 2}
	f := startFleet(t, decode(t, one("", "{port: 8080}")), o)
	var plain, prefixed bytes.Buffer
	require.NoError(t, f.Logs(t.Context(), "staff-1", LogOptions{}, &plain))
	assert.Equal(t, "fake: started staff-1\n", plain.String(), "the log")
	require.NoError(t, f.Logs(t.Context(), "all", LogOptions{Prefix: true}, &prefixed))
	assert.Equal(t, "staff-0 | fake: started staff-0\nstaff-1 | fake: started staff-1\n", prefixed.String(), "all logs")
	wants.Error(t, "the log of nobody", f.Logs(t.Context(), "nobody", LogOptions{}, io.Discard), `"nobody": must be a pod: staff-0, staff-1`)

	// followed, it goes on to the fleet's end
	var followed bytes.Buffer
	done := make(chan error)
	go func() { done <- f.Logs(t.Context(), "staff-0", LogOptions{Follow: true}, &followed) }()
	f.Stop()
	require.NoError(t, <-done)
	assert.Equal(t, "fake: started staff-0\nfake: ends\n", followed.String(), "the followed log")
}
