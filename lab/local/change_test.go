package local

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fleetman.example/lab/manifest"
)

// change makes a whole change.
func change(t *testing.T, f *Fleet, objects *manifest.Objects) (*Change, error) {
	t.Helper()
	c, err := f.Stage(t.Context(), objects, func(MeshPod) bool { return false })
	if err != nil {
		return nil, err
	}
	if err := c.Run(t.Context()); err != nil {
		c.Abort()
		return nil, err
	}
	c.Join()
	c.Leave()
	c.Commit()
	return c, nil
}

// pids returns the processes of the pods that do not end, keyed by name.
func pids(f *Fleet) map[string]int {
	found := map[string]int{}
	for _, p := range f.Pods() {
		if p.State == "running" {
			found[p.Name] = p.PID
		}
	}
	return found
}

// gone waits until the pod has ended.
func gone(t *testing.T, f *Fleet, name string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if !slices.ContainsFunc(f.Pods(), func(p Pod) bool { return p.Name == name }) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has not ended: %+v", name, f.Pods())
		}
	}
}

// service returns a Deployment with a number of replicas and its Service, whose node port is 0 for none.
func service(name string, replicas, nodePort int, env string) string {
	kind := "ClusterIP"
	if nodePort > 0 {
		kind = "NodePort"
	}
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec: {containers: [{name: c, image: fleetman/staff-service, env: [%[4]s]}]}
---
apiVersion: v1
kind: Service
metadata: {name: %[1]s}
spec: {type: %[5]s, selector: {app: %[1]s}, ports: [{port: 8080, nodePort: %[3]d}]}
`, name, replicas, nodePort, env, kind)
}

// TestChange changes the environment, the replicas and the set of Deployments of a running fleet.
func TestChange(t *testing.T) {
	o := testOptions(t)
	of := func(parts ...string) *manifest.Objects { return decode(t, strings.Join(parts, "---\n")) }
	f := startFleet(t, of(service("a", 2, 30111, ""), service("b", 1, 0, "")), o)
	before := pids(f)

	// one Deployment changes, the other runs on
	if _, err := change(t, f, of(service("a", 2, 30111, "{name: COLOUR, value: red}"), service("b", 1, 0, ""))); err != nil {
		t.Fatal(err)
	}
	now := pids(f)
	if now["b-0"] != before["b-0"] || now["a-2"] == 0 || now["a-3"] == 0 {
		t.Errorf("processes %v, before %v", now, before)
	}
	for _, ip := range hostsLines(t, f, "a") {
		if env, err := environmentAt(ip + ":8080"); err != nil || env["COLOUR"] != "red" || !slices.Contains([]string{"a-2", "a-3"}, env["HOSTNAME"]) {
			t.Errorf("a leads to %v, %v", env, err)
		}
	}
	if n := len(hostsLines(t, f, "a")); n != 2 {
		t.Errorf("a has %d endpoints, want 2", n)
	}
	gone(t, f, "a-0")
	gone(t, f, "a-1")
	for _, pid := range []int{before["a-0"], before["a-1"]} {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d: %v", pid, err)
		}
	}
	if conn, err := net.Dial("tcp", podIP(o, 1)+":65535"); err == nil {
		conn.Close()
		t.Error("the address of a pod that has ended is still taken")
	}

	// more and fewer replicas, another Deployment, one less, another node port
	if _, err := change(t, f, of(service("a", 3, 30112, "{name: COLOUR, value: red}"), service("c", 1, 30111, ""))); err != nil {
		t.Fatal(err)
	}
	last := pids(f)
	if last["a-2"] != now["a-2"] || last["a-3"] != now["a-3"] || last["a-0"] == 0 || last["c-0"] == 0 {
		t.Errorf("processes %v, before %v", last, now)
	}
	gone(t, f, "b-0")
	if len(hostsLines(t, f, "b")) > 0 || len(hostsLines(t, f, "c")) != 1 || len(hostsLines(t, f, "a")) != 3 {
		t.Errorf("hosts: a %v, b %v, c %v", hostsLines(t, f, "a"), hostsLines(t, f, "b"), hostsLines(t, f, "c"))
	}
	ports := map[string]string{}
	for _, node := range f.NodePorts() {
		env, err := environmentAt(node.Address.String())
		if err != nil {
			t.Errorf("node port %d: %v", node.Declared, err)
		}
		ports[fmt.Sprintf("%s %d %d", node.Service, node.Declared, node.Address.Port())] = strings.TrimRight(env["HOSTNAME"], "-0123456789")
	}
	if len(ports) != 2 || ports["a 30112 30112"] != "a" || ports["c 30111 30111"] != "c" {
		t.Errorf("node ports %v", ports)
	}
	if _, err := change(t, f, of(service("a", 1, 0, "{name: COLOUR, value: red}"))); err != nil {
		t.Fatal(err)
	}
	if final := pids(f); final["a-2"] != last["a-2"] || len(f.NodePorts()) != 0 {
		t.Errorf("processes %v, before %v; node ports %v", final, last, f.NodePorts())
	}
	for _, name := range []string{"a-3", "a-0", "c-0"} {
		gone(t, f, name)
	}
}

// TestChangeLosesNothing sends requests while the pods behind a node port are replaced.
func TestChangeLosesNothing(t *testing.T) {
	o := testOptions(t)
	colour := func(value string) *manifest.Objects {
		return decode(t, service("a", 2, 30113, "{name: COLOUR, value: "+value+"}, {name: FAKE_DRAIN, value: 300ms}"))
	}
	f := startFleet(t, colour("red"), o)
	address := f.NodePorts()[0].Address.String()
	var stop atomic.Bool
	var mu sync.Mutex
	seen := map[string]int{}
	var sending sync.WaitGroup
	for range 4 {
		sending.Go(func() {
			for !stop.Load() {
				env, err := environmentAt(address)
				mu.Lock()
				if seen[env["COLOUR"]]++; err != nil {
					t.Errorf("lost: %v", err)
				}
				mu.Unlock()
			}
		})
	}
	for _, value := range []string{"green", "blue"} {
		if _, err := change(t, f, colour(value)); err != nil {
			t.Fatal(err)
		}
		if env, err := environmentAt(address); err != nil || env["COLOUR"] != value {
			t.Errorf("after the change: %v, %v", env["COLOUR"], err)
		}
	}
	stop.Store(true)
	sending.Wait()
	if seen["red"] == 0 || seen["green"] == 0 || seen[""] > 0 {
		t.Errorf("responses %v", seen)
	}
}

// TestChangeFails checks that a change that cannot be made leaves the fleet as it was.
func TestChangeFails(t *testing.T) {
	o := testOptions(t)
	o.Set = []Setting{{"a", "SIZE", "1"}}
	f := startFleet(t, decode(t, service("a", 1, 30114, "")), o)
	occupy(t, o.NodeAddress.String()+":30115")
	before, addresses := pids(f), hostsLines(t, f, "a")
	for _, test := range []struct{ name, manifests, want string }{
		{"a pod that exits", service("a", 1, 30114, "{name: FAKE_EXIT, value: '3'}"), "pod a-1: given up because it failed 5 times, last with exit status 3; its log is " + filepath.Join(o.State, "logs", "a-1.log")},
		{"a node port in use", service("a", 1, 30115, ""), "NodePort 30115 of Service a: " + o.NodeAddress.String() + ":30115 is in use: stop the program that listens there, or take other addresses with --node-address, or another port with --node-port"},
		{"an unknown program", strings.Replace(service("a", 1, 30114, ""), "fleetman/staff-service", "fleetman/nobody", 1), `image: "fleetman/nobody": must be fleetman/NAME`},
		{"the Deployment of --set", service("b", 1, 0, ""), `--set "a": must be a Deployment of the manifests: b`},
	} {
		if _, err := change(t, f, decode(t, test.manifests)); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
		gone(t, f, "a-1")
		if now := pids(f); now["a-0"] != before["a-0"] || !slices.Equal(hostsLines(t, f, "a"), addresses) || len(f.NodePorts()) != 1 {
			t.Errorf("%s: processes %v, before %v; a is at %v; node ports %v", test.name, now, before, hostsLines(t, f, "a"), f.NodePorts())
		}
	}
	if _, err := change(t, f, decode(t, service("a", 1, 30114, "{name: COLOUR, value: red}"))); err != nil {
		t.Errorf("after the failures: %v", err)
	}
}

// TestChangeBack undoes a change that was in force.
func TestChangeBack(t *testing.T) {
	o := testOptions(t)
	f := startFleet(t, decode(t, service("a", 1, 30116, "")), o)
	addresses := hostsLines(t, f, "a")
	c, err := f.Stage(t.Context(), decode(t, service("a", 1, 30116, "{name: COLOUR, value: red}")), func(MeshPod) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := hostsLines(t, f, "a"); !slices.Equal(got, addresses) {
		t.Errorf("before Join a is at %v, want %v", got, addresses)
	}
	c.Join()
	c.Leave()
	if env, err := environmentAt(f.NodePorts()[0].Address.String()); err != nil || env["COLOUR"] != "red" {
		t.Errorf("after Leave: %v, %v", env["COLOUR"], err)
	}
	c.Abort()
	if got := hostsLines(t, f, "a"); !slices.Equal(got, addresses) {
		t.Errorf("after Abort a is at %v, want %v", got, addresses)
	}
	gone(t, f, "a-1")
	if env, err := environmentAt(f.NodePorts()[0].Address.String()); err != nil || env["COLOUR"] != "" {
		t.Errorf("after Abort: %v, %v", env["COLOUR"], err)
	}
}

// TestChangeNamespace adds a namespace, whose pods have a hosts file from their start, and removes it.
func TestChangeNamespace(t *testing.T) {
	o := testOptions(t)
	text := service("a", 1, 0, "")
	f := startFleet(t, decode(t, text), o)
	apart := strings.ReplaceAll(service("b", 1, 0, ""), "metadata: {name:", "metadata: {namespace: apart, name:")
	c, err := f.Stage(t.Context(), decode(t, text+"---\n"+apart), func(MeshPod) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(o.State, "hosts-apart")
	if _, err := LookUp(file, "a.default"); err != nil {
		t.Errorf("before the pod starts: %v", err)
	}
	if err := c.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Join()
	c.Leave()
	c.Commit()
	if _, err := LookUp(file, "b"); err != nil {
		t.Error(err)
	}
	if _, err := change(t, f, decode(t, text)); err != nil {
		t.Fatal(err)
	}
	gone(t, f, "apart/b-0")
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", file, err)
	}
}

// TestChangeReplaces replaces the pods that the caller names, and those of a changed ConfigMap.
func TestChangeReplaces(t *testing.T) {
	o := testOptions(t)
	text := service("a", 1, 0, "{name: COLOUR, valueFrom: {configMapKeyRef: {name: m, key: c}}}") + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {c: red}\n"
	f := startFleet(t, decode(t, text), o)
	c, err := f.Stage(t.Context(), decode(t, text), func(MeshPod) bool { return true })
	if err != nil || len(c.Added()) != 1 || c.Pods() != "1 pods started, 1 ended" {
		t.Fatalf("%+v, %v", c, err)
	}
	c.Abort()
	gone(t, f, "a-1")
	if _, err := change(t, f, decode(t, strings.Replace(text, "red", "green", 1))); err != nil {
		t.Fatal(err)
	}
	if env, err := environmentAt(hostsLines(t, f, "a")[0] + ":8080"); err != nil || env["COLOUR"] != "green" {
		t.Errorf("after a change of the ConfigMap: %v, %v", env["COLOUR"], err)
	}
	f.Stop()
	if _, err := f.Stage(t.Context(), decode(t, text), func(MeshPod) bool { return false }); !errors.Is(err, errStopping) {
		t.Errorf("after Stop: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(o.State, "hosts*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := os.Stat(o.State); err != nil {
		t.Fatal(err)
	}
}
