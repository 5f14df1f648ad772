package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fleetman.example/lab/control"
)

const patience = 20 * time.Second

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

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"upp"}, `fleetman: no command "upp"; see fleetman --help`},
		{[]string{"up", "--sett", "a"}, "fleetman: unknown flag: --sett; see fleetman up --help"},
		{[]string{"up", "--set", "staff-service=bad"}, `fleetman: --set "staff-service=bad": DEPLOYMENT:NAME=VALUE is expected, such as staff-service:VARIANT=bad`},
		{[]string{"up", "--replicas", "staff-service"}, `fleetman: --replicas "staff-service": DEPLOYMENT=NUMBER is expected, such as staff-service=2`},
		{[]string{"up", "--replicas", "staff-service=-1"}, `fleetman: --replicas "staff-service=-1": DEPLOYMENT=NUMBER is expected, such as staff-service=2`},
		{[]string{"up", "--network", "127.0.1.1"}, `fleetman: --network "127.0.1.1": a network such as 127.0.1.0/24 is expected`},
		{[]string{"up", "--node-address", "localhost"}, `fleetman: --node-address "localhost": an address such as 127.0.0.1 is expected`},
		{[]string{"up", "--ready-timeout", "0s"}, "fleetman: --ready-timeout 0s: more than 0 is expected"},
		{[]string{"up", "--restart-backoff", "-1s"}, "fleetman: --restart-backoff -1s: more than 0 is expected"},
		{[]string{"up", "--root", "/nowhere"}, "fleetman: --root /nowhere: no repository of the fleet, it has no go.work"},
		{[]string{"pods", "x"}, `fleetman: fleetman pods: no argument is expected, not "x"`},
		{[]string{"logs"}, "fleetman: fleetman logs: one POD, or all, is expected, not 0"},
		{[]string{"kill", "a", "b"}, "fleetman: fleetman kill: one POD is expected, not 2"},
		{[]string{"kill", "a", "--signal", "NICE"}, `fleetman: --signal "NICE": a number from 1 to 64 or one of ABRT, CONT, HUP, INT, KILL, QUIT, STOP, TERM, USR1, USR2 is expected`},
	} {
		code, stdout, stderr := fleetman(t, test.args...)
		if code != exitUsage || stderr != test.want+"\n" || stdout != "" {
			t.Errorf("%q: exit code %d, stdout %q\n got %s\nwant %s", test.args, code, stdout, stderr, test.want)
		}
	}
}

func TestHelp(t *testing.T) {
	code, stdout, stderr := fleetman(t)
	if code != 0 || stderr != "" || !strings.Contains(stdout, "fleetman [command]") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestNoFleet(t *testing.T) {
	state := t.TempDir()
	want := fmt.Sprintf("fleetman: no fleet runs in %s; start one with fleetman up, or name its directory with --state\n", state)
	for _, args := range [][]string{{"pods"}, {"logs", "all"}, {"kill", "staff-service"}} {
		code, stdout, stderr := fleetman(t, append(args, "--state", state)...)
		if code != exitFailure || stderr != want || stdout != "" {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q, want %q", args, code, stdout, stderr, want)
		}
	}
}

func TestBadManifest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "staff.yaml")
	if err := os.WriteFile(file, []byte("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: staff}\nspec: {replica: 2}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := fleetman(t, "up", file)
	if want := "fleetman: " + file + `: Deployment staff: unknown field "spec.replica"` + "\n"; code != exitFailure || stderr != want || stdout != "" {
		t.Errorf("exit code %d, stdout %q, stderr %q, want %q", code, stdout, stderr, want)
	}
}

// TestUp runs a fleet of fakes and talks to it as a user would.
func TestUp(t *testing.T) {
	bin := t.TempDir()
	for _, name := range []string{"staff-service", "webapp"} {
		if out, err := exec.Command("go", "build", "-o", filepath.Join(bin, name), "../../local/testdata/fake").CombinedOutput(); err != nil {
			t.Fatalf("building the fake: %v: %s", err, out)
		}
	}
	network := fmt.Sprintf("127.%d.250.", 100+os.Getpid()%100)
	state := filepath.Join(t.TempDir(), strings.Repeat("a-long-name", 12)) // longer than a socket's address may be
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout, stderr buffer
	done := make(chan int)
	go func() {
		done <- run(ctx, []string{
			"up", "--bin", bin, "--state", state, "--network", network + "0/24", "--node-address", network + "250", "--logs",
			"--replicas", "staff-service=2", "--set", "staff-service:VARIANT=bad", "../../../k8s/base/staff-service.yaml", "../../../k8s/base/webapp.yaml",
		}, os.Environ(), &stdout, &stderr)
	}()
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
		if got := strings.Join(strings.Fields(line), " "); got != table[i] {
			t.Errorf("line %d is %q, want %q", i, got, table[i])
		}
	}
	await(t, "the pods' logs", func() bool { return strings.Contains(stdout.String(), "webapp-0 | fake: started webapp-0\n") })

	if code, out, errs := fleetman(t, "pods", "--state", state); code != 0 || errs != "" || !strings.HasPrefix(stdout.String(), out) {
		t.Errorf("pods: exit code %d, stderr %q, stdout\n%s", code, errs, out)
	}
	if code, out, errs := fleetman(t, "logs", "webapp", "--state", state); code != 0 || errs != "" || out != "fake: started webapp-0\n" {
		t.Errorf("logs: exit code %d, stderr %q, stdout %q", code, errs, out)
	}
	if code, _, errs := fleetman(t, "logs", "stuff", "--state", state); code != exitFailure || errs != "fleetman: no pod \"stuff\"; there are staff-service-0, staff-service-1, webapp-0\n" {
		t.Errorf("logs of nobody: exit code %d, stderr %q", code, errs)
	}
	if code, _, errs := fleetman(t, "up", "--bin", bin, "--state", state, "../../../k8s/base/webapp.yaml"); code != exitFailure ||
		errs != fmt.Sprintf("fleetman: another fleet runs in %s (process %d): stop it, or take another directory with --state, and other addresses with --network and --node-address\n", state, os.Getpid()) {
		t.Errorf("a second launcher: exit code %d, stderr %q", code, errs)
	}

	if code, out, errs := fleetman(t, "kill", "--signal", "kill", "staff-service-1", "--state", state); code != 0 || !strings.HasSuffix(out, "): sent signal 9 (killed)\n") || errs != "" {
		t.Errorf("kill: exit code %d, stdout %q, stderr %q", code, out, errs)
	}
	await(t, "the killed pod's return", func() bool {
		code, out, errs := fleetman(t, "pods", "--json", "--state", state)
		var status control.Status
		if err := json.Unmarshal([]byte(out), &status); code != 0 || err != nil || len(status.Pods) != 3 {
			t.Fatalf("pods --json: exit code %d, stderr %q, %v, stdout %s", code, errs, err, out)
		}
		return status.Pods[1].Restarts == 1 && status.Pods[1].Ready
	})
	if !strings.Contains(stderr.String(), " staff-service-1 exited: signal: killed\n") {
		t.Errorf("the launcher says nothing of it: %s", stderr.String())
	}

	cancel()
	select {
	case code := <-done:
		if code != 0 || !strings.HasSuffix(stderr.String(), "stopping\n") {
			t.Errorf("stopped with exit code %d: %s", code, stderr.String())
		}
	case <-time.After(patience):
		t.Fatal("it does not stop")
	}
	if _, err := net.Dial("tcp", network+"250:30080"); err == nil {
		t.Error("the NodePort is still open")
	}
}

func TestUpNotReady(t *testing.T) {
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "staff-service"), "../../local/testdata/fake").CombinedOutput(); err != nil {
		t.Fatalf("building the fake: %v: %s", err, out)
	}
	state := t.TempDir()
	network := fmt.Sprintf("127.%d.251.", 100+os.Getpid()%100)
	code, stdout, stderr := fleetman(t, "up", "--bin", bin, "--state", state, "--network", network+"0/24", "--node-address", network+"250",
		"--restart-backoff", "1ms", "--set", "staff-service:FAKE_EXIT=3", "../../../k8s/base/staff-service.yaml")
	want := strings.Repeat("  fake: FAKE_EXIT is set\n", 5) +
		"fleetman: pod staff-service-0: given up because it failed 5 times, last with exit status 3; its log is " + state + "/logs/staff-service-0.log\n"
	if code != exitFailure || stdout != "" || stderr != want {
		t.Errorf("exit code %d, stdout %q, stderr\n%s\nwant\n%s", code, stdout, stderr, want)
	}
}
