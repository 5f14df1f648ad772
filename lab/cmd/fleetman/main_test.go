package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/bench"
	"fleetman.example/lab/control"
	"fleetman.example/lab/local/fakes"
	"fleetman.example/lab/nettest"
	"fleetman.example/lab/wants"
)

// patience is how long a test waits for anything. Only what hangs takes longer, however busy the machine is.
const patience = 5 * time.Minute

// buffer may be written and read at once.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(data)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// fleetman runs the program to its end.
func fleetman(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs buffer
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	code = run(ctx, args, os.Environ(), &out, &errs)
	return code, out.String(), errs.String()
}

// expect runs the program to its end, which must be an exit code and this output, in which … stands for any text
// without a newline.
func expect(t *testing.T, code int, stdout, stderr string, args ...string) {
	t.Helper()
	gotCode, gotOut, gotErrs := fleetman(t, args...)
	assert.Equal(t, code, gotCode, "exit code of %q", args)
	wants.Text(t, fmt.Sprintf("standard output of %q", args), gotOut, stdout)
	wants.Text(t, fmt.Sprintf("standard error of %q", args), gotErrs, stderr)
}

// shows runs the program to its end, which must be a success with all these texts in its output.
func shows(t *testing.T, texts []string, args ...string) {
	t.Helper()
	code, stdout, stderr := fleetman(t, args...)
	assert.Equal(t, 0, code, "exit code of %q", args)
	assert.Empty(t, stderr, "standard error of %q", args)
	for _, want := range texts {
		assert.Contains(t, stdout, want, "%q", args)
	}
}

// background is a run of the program beside the test.
type background struct {
	stdout, stderr buffer
	done           chan int // its exit code
	stop           context.CancelFunc
}

// inBackground starts the program, and ends it with the test.
func inBackground(t *testing.T, args ...string) *background {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	b := &background{done: make(chan int, 1), stop: stop}
	go func() { b.done <- run(ctx, args, os.Environ(), &b.stdout, &b.stderr) }()
	return b
}

// write writes a file in a new directory and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o755))
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// networkOf returns the beginning of the addresses of a network of the test's own, such as "127.120.4.".
func networkOf(t *testing.T) string {
	t.Helper()
	return strings.TrimSuffix(nettest.Network(t).Addr().String(), "0")
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

func TestUsage(t *testing.T) {
	empty := write(t, "empty.json", "{}")
	const label = "at most 63 lower-case letters, digits and hyphens, with a letter or a digit at both ends"
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"statsu"}, "unknown command \"statsu\": did you mean status? See fleetman --help"},
		{[]string{"help", "nosuch"}, "unknown command \"nosuch\"; see fleetman --help"},
		{[]string{"help", "mesh", "staus"}, "unknown command \"staus\": did you mean status? See fleetman mesh --help"},
		{[]string{"up", "--network", "10.0.0.0/8"}, "--network 10.0.0.0/8: must be within 127.0.0.0/8"},
		{[]string{"check", "--network", "127.0.0.0/7"}, "--network 127.0.0.0/7: must be within 127.0.0.0/8"},
		{[]string{"up", "plian"}, "plian: must be a file, a directory or a scenario: did you mean plain?"},
		{[]string{"apply", "plian"}, "plian: must be a file, a directory or a scenario: did you mean plain?"},
		{[]string{"up", "--set", "nobody:A=b", "--state", t.TempDir(), "--network", networkOf(t) + "0/24"}, `--set "nobody": must be a Deployment of the manifests: api-gateway, position-simulator, position-tracker, staff-service, vehicle-telemetry, webapp`},
		{[]string{"up", "--replicas", "nobody=2", "--state", t.TempDir(), "--network", networkOf(t) + "0/24"}, `--replicas "nobody": must be a Deployment of the manifests: api-gateway, position-simulator, position-tracker, staff-service, vehicle-telemetry, webapp`},
		{[]string{"up", "--node-port", "nobody=2", "--state", t.TempDir(), "--network", networkOf(t) + "0/24"}, "--node-port nobody=2: must be a Service with a NodePort: fleetman-webapp, fleetman-webapp:http"},
		{[]string{"up", "--bin", empty, "--network", "x", "--set", "a", "--ready-timeout", "0s"}, "--bin " + empty + ": must be a directory of programs\n" +
			"--set a: must be DEPLOYMENT:NAME=VALUE, such as staff-service:VARIANT=bad\n--ready-timeout 0s: must be more than 0s\n--network x: must be a network, such as 127.0.1.0/24"},
		{[]string{"up", "--bin", filepath.Dir(empty), "--state", t.TempDir(), "--network", networkOf(t) + "0/24"}, "--bin " + filepath.Dir(empty) + ": no program api-gateway, position-simulator, position-tracker, staff-service, vehicle-telemetry, webapp: must have one for each Deployment"},
		{[]string{"bench", "--bin", "/nonexistent", "--only", "x"}, `--only: "x": must be one of ` + strings.Join(bench.Parts, ", ") + "\n--bin /nonexistent: must be a directory of programs"},
		{[]string{"envoy", "nofile"}, "nofile: must be the configuration of an Envoy, or a directory with one"},
		{[]string{"images", "save", "nodir/x.tar"}, "nodir/x.tar: must be a file in a directory that exists"},
		{[]string{"up", "--mesh", "../../../k8s/bare-envoy"}, "--mesh: must be unset with ../../../k8s/bare-envoy, which is the configuration of an Envoy"},
		{[]string{"check", "--against", "/nowhere"}, "--against: open /nowhere: no such file or directory"},
		{[]string{"check", "--against", empty}, "--against " + empty + ": no results: must be what check -o json wrote"},
		{[]string{"check", "--junit", "/nowhere/check.xml"}, "--junit /nowhere/check.xml: must be a file in a directory that exists"},
		{[]string{"report", "x", "--html", "/"}, "--html /: must be a file in a directory that exists"},
		{[]string{"check", "--bin", "/dev/null"}, "--bin /dev/null: must be a directory of programs"},
		{[]string{"fly"}, "unknown command \"fly\"; see fleetman --help"},
		{[]string{"mesh", "staus"}, "unknown command \"staus\": did you mean status? See fleetman mesh --help"},
		{[]string{"completion", "tcsh"}, "unknown command \"tcsh\": did you mean bash or fish or zsh? See fleetman completion --help"},
		{[]string{"up", "--sett", "a"}, "unknown flag --sett: did you mean --set? See fleetman up --help"},
		{[]string{"up", "--quickly"}, "unknown flag --quickly; see fleetman up --help"},
		{[]string{"up", "-x"}, "unknown shorthand flag: 'x' in -x; see fleetman up --help"},
		{[]string{"up", "--set"}, "flag needs an argument: --set; see fleetman up --help"},
		{[]string{"up", "--replicas", "staff-service"}, "--replicas staff-service: must be DEPLOYMENT=NUMBER, such as staff-service=2"},
		{[]string{"up", "--replicas", "staff-service=-1"}, "--replicas staff-service=-1: must be DEPLOYMENT=NUMBER, such as staff-service=2"},
		{[]string{"up", "--node-address", ""}, "--node-address \"\": must be an address, such as 127.0.0.1"},
		{[]string{"up", "--ready-timeout", "soon"}, "--ready-timeout soon: must be a duration, such as 500ms or 1m30s; see fleetman up --help"},
		{[]string{"up", "--ingress-port", "http"}, "--ingress-port http: must be a whole number; see fleetman up --help"},
		{[]string{"up", "--mesh=maybe"}, "--mesh maybe: must be true or false; see fleetman up --help"},
		{[]string{"up", "--restart-backoff", "-1s"}, "--restart-backoff -1s: must be more than 0s"},
		{[]string{"up", "--root", "/nowhere"}, "--root /nowhere: must be a clone of the repository, with go.work and k8s/base"},
		{[]string{"pods", "x"}, "fleetman pods: \"x\": must be without arguments"},
		{[]string{"pods", "-o", "xml"}, "--output xml: must be one of table, wide, json, yaml; see fleetman pods --help"},
		{[]string{"logs"}, "fleetman logs: 0 arguments: must be one POD, or all"},
		{[]string{"logs", "all", "--tail", "-2"}, "--tail -2: must be the number of lines, or -1 for all"},
		{[]string{"logs", "all", "--since", "0s"}, "--since 0s: must be more than 0s"},
		{[]string{"kill", "a", "b"}, "fleetman kill: 2 arguments: must be one POD"},
		{[]string{"kill", "a", "--signal", "NICE"}, "--signal NICE: must be a number from 1 to 64 or one of ABRT, CONT, HUP, INT, KILL, QUIT, STOP, TERM, USR1, USR2"},
		{[]string{"lint"}, "fleetman lint: 0 arguments: must be one SCENARIO, DIR or FILE, or more, or --context"},
		{[]string{"lint", "--format", "xml", "plain"}, "--format xml: must be one of text, json, sarif, github; see fleetman lint --help"},
		{[]string{"lint", "--rate", "-1", "plain"}, "--rate -1: must be between 0 and 1000000 requests per second"},
		{[]string{"lint", "--latency", "0s", "plain"}, "--latency 0s: must be more than 0s, at most 1h"},
		{[]string{"lint", "--fault", "25h", "plain"}, "--fault 25h0m0s: must be more than 0s, at most 24h"},
		{[]string{"lint", "--prove", "24", "plain"}, "--prove 24: must be the number or the name of a rule, see docs/lint.md"},
		{[]string{"lint", "--prove", "", "plain"}, `--prove "": must be the number or the name of a rule, see docs/lint.md`},
		{[]string{"lint", "--call", "webapp", "plain"}, "--call webapp: must be WORKLOAD=HOST, such as webapp=fleetman-api-gateway"},
		{[]string{"apply"}, "fleetman apply: 0 arguments: must be one SCENARIO, DIR or FILE, or more"},
		{[]string{"fault", "a"}, "fleetman fault: must be SERVICE or POD with RULES, or --clear, or --show; see fleetman fault --help"},
		{[]string{"fault", "a", " ; ;"}, "fleetman fault: must be SERVICE or POD with RULES, or --clear, or --show; see fleetman fault --help"},
		{[]string{"fault", "--clear", "--show"}, "fleetman fault: --clear, --show: must be one of them"},
		{[]string{"fault", "verify", "a", "b"}, "fleetman fault verify: 2 arguments: must be at most one SERVICE or POD"},
		{[]string{"up", "--context", "a", "--namespace", "R15_A"}, "--namespace R15_A: must be " + label},
		{[]string{"compare", "quick", "--context", "a", "--namespace", "r15.x"}, "--namespace r15.x: must be " + label},
		{[]string{"down", "--context", "a", "--namespace", ""}, `--namespace "": must be ` + label},
		{[]string{"lint", "--context", "a", "--namespace", strings.Repeat("a", 64)}, "--namespace " + strings.Repeat("a", 64) + ": must be " + label},
		{[]string{"binaries", "kubectl"}, "kubectl: must be one of envoy, istioctl, pilot-discovery"},
		{[]string{"env", "--shell", "csh"}, "--shell csh: must be one of sh, fish"},
	} {
		expect(t, exitUsage, "", "fleetman: "+test.want+"\n", test.args...)
	}
}

func TestNoFleet(t *testing.T) {
	state := t.TempDir()
	want := fmt.Sprintf("fleetman: no fleet runs in %s: start one with fleetman up, or set its directory with --state\n", state)
	for _, args := range [][]string{
		{"pods"},
		{"status"},
		{"logs", "all"},
		{"kill", "staff-service"},
		{"mesh", "status"},
		{"apply", "plain"},
		{"fault", "--show"},
		{"fault", "staff-service", "reset"},
		{"fault", "staff-service", "--clear"},
		{"fault", "verify"},
	} {
		expect(t, exitFailure, "", want, append(args, "--state", state)...)
	}
	expect(t, 0, "", "no fleet runs in "+state+"\n", "down", "--state", state)
}

func TestBadManifest(t *testing.T) {
	file := write(t, "staff.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: staff}\nspec: {replica: 2}\n")
	expect(t, exitFailure, "", "fleetman: "+file+`: Deployment staff: unknown field "spec.replica"`+"\n", "up", file)
}

// TestUp runs a fleet of fakes and talks to it as a user would.
func TestUp(t *testing.T) {
	bin := fakes.Dir(t)
	network := networkOf(t)
	state := filepath.Join(t.TempDir(), strings.Repeat("a-long-name", 12)) // longer than a socket's address may be
	up := inBackground(t, "up", "--bin", bin, "--state", state, "--network", network+"0/24", "--node-address", network+"250", "--logs",
		"--replicas", "staff-service=2", "--set", "staff-service:VARIANT=bad", "../../../k8s/base/staff-service.yaml", "../../../k8s/base/webapp.yaml")
	stdout, stderr := &up.stdout, &up.stderr
	await(t, "the table of pods", func() bool { return strings.Contains(stderr.String(), "; Ctrl-C ends it\n") })
	port := "80"
	if os.Geteuid() != 0 && strings.Contains(stdout.String(), ":10080") {
		port = "10080 (for 80)"
	}
	table := []string{
		"POD ADDRESS READY RESTARTS IMAGE VARIANT",
		"staff-service-0 " + network + "1:8080 yes 0 fleetman/staff-service:6 bad",
		"staff-service-1 " + network + "2:8080 yes 0 fleetman/staff-service:6 bad",
		"webapp-0 " + network + "3:" + port + " yes 0 fleetman/webapp:6 -",
		"fleetman-webapp: http://" + network + "250:30080",
	}
	for i, line := range strings.SplitN(stdout.String(), "\n", 6)[:5] {
		assert.Equal(t, table[i], strings.Join(strings.Fields(line), " "))
	}
	await(t, "the pods' logs", func() bool { return strings.Contains(stdout.String(), "webapp-0 | fake: started webapp-0\n") })

	shown := strings.Join(strings.SplitAfterN(stdout.String(), "\n", 6)[:5], "") // the console's address follows, if its page is built
	expect(t, 0, shown, "", "pods", "--state", state)
	for _, test := range []struct {
		flag, want string
	}{
		{"--tail=0", ""}, {"--tail=1", "fake: started webapp-0\n"}, {"--since=1h", "fake: started webapp-0\n"}, {"--since=1ns", ""},
	} {
		expect(t, 0, test.want, "", "logs", test.flag, "webapp-0", "--state", state)
	}
	expect(t, 0, "fake: started webapp-0\n", "", "logs", "webapp", "--state", state)
	expect(t, exitUsage, "", "fleetman: \"stuff\": must be a pod: staff-service-0, staff-service-1, webapp-0\n", "logs", "stuff", "--state", state)
	expect(t, exitUsage, "", "fleetman: \"staff-service\": must be a pod: staff-service-0, staff-service-1\n", "logs", "staff-service", "--state", state)
	expect(t, exitFailure, "", fmt.Sprintf("fleetman: another fleet runs in %s (process %d): end it with fleetman down, or choose another directory with --state, and other addresses with --network and --node-address\n", state, os.Getpid()),
		"up", "--bin", bin, "--state", state, "../../../k8s/base/webapp.yaml")

	for _, args := range [][]string{
		{"check", "plain", "--state", state, "--network", network + "0/24", "--node-address", network + "250"}, // its state directory
		{"check", "plain", "--state", t.TempDir(), "--network", network + "0/24", "--node-address", network + "250"},
	} {
		expect(t, exitFailure, "", "… another fleet…fleetman down…\n", args...)
	}

	expect(t, 0, "…): sent signal 9 (killed)\n", "", "kill", "--signal", "kill", "staff-service-1", "--state", state)
	await(t, "the killed pod's return", func() bool {
		_, out, errs := fleetman(t, "pods", "-o", "json", "--state", state)
		var status control.Status
		require.NoError(t, json.Unmarshal([]byte(out), &status), errs)
		require.Len(t, status.Pods, 3)
		return status.Pods[1].Restarts == 1 && status.Pods[1].Ready
	})
	assert.Contains(t, stderr.String(), " staff-service-1 exited: signal: killed\n")

	names := "staff-service-0\nstaff-service-1\nwebapp-0\n:4\n"
	assert.Equal(t, names, onlyOut(fleetman(t, "__complete", "--state", state, "kill", "")))
	assert.Equal(t, "verify\tCheck that every kind of fault is injected and seen as it is set\nfleetman-staff-service\nfleetman-webapp\n"+names,
		onlyOut(fleetman(t, "__complete", "--state", state, "fault", "")))
	var status control.Status
	require.NoError(t, yaml.Unmarshal([]byte(onlyOut(fleetman(t, "status", "-o", "yaml", "--state", state))), &status))
	assert.Equal(t, os.Getpid(), status.PID)
	assert.Equal(t, state, status.State)
	assert.Len(t, status.Pods, 3)
	assert.Len(t, status.Manifests, 2)
	assert.WithinDuration(t, time.Now(), status.Since, time.Hour)
	assert.False(t, status.HasMesh)
	expect(t, 0, fmt.Sprintf("running    for …, since …, process %d\n", os.Getpid())+
		"manifests  …/k8s/base/staff-service.yaml… …/k8s/base/webapp.yaml…\naddress    http://"+network+"250:30080 (fleetman-webapp)\n"+
		"pods       3 of 3 ready\nmesh       none\n", "", "status", "--state", state)

	expect(t, 0, "", fmt.Sprintf("ended the fleet of %s (process %d)\n", state, os.Getpid()), "down", "--state", state)
	assert.Equal(t, 0, <-up.done, "exit code")
	assert.Regexp(t, "stopping\n$", stderr.String())
	_, err := net.Dial("tcp", network+"250:30080")
	assert.Error(t, err, "the NodePort is still open")
}

func TestUpNotReady(t *testing.T) {
	state, network := t.TempDir(), networkOf(t)
	want := `staff-service: "FAKE_EXIT": is not in the manifests, and the variables of the program are not known` + "\n" +
		"fleetman: pod staff-service-0: given up because it failed 5 times, last with exit status 3; its log is " +
		state + "/logs/staff-service-0.log, which ends with\n  fake: FAKE_EXIT is set\n"
	expect(t, exitFailure, "", want, "up", "--bin", fakes.Dir(t), "--state", state, "--network", network+"0/24", "--node-address", network+"250",
		"--restart-backoff", "1ms", "--set", "staff-service:FAKE_EXIT=3", "../../../k8s/base/staff-service.yaml")
}
