package local

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/wants"
)

// apply makes a whole change.
func apply(t *testing.T, f *Fleet, objects *manifest.Objects) {
	t.Helper()
	_, err := f.Apply(t.Context(), objects)
	require.NoError(t, err)
}

// stage prepares a change that replaces what the manifests change.
func stage(t *testing.T, f *Fleet, objects *manifest.Objects) *Change {
	t.Helper()
	c, err := f.Stage(t.Context(), objects, func(MeshPod) bool { return false })
	require.NoError(t, err)
	return c
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
	require.Eventually(t, func() bool {
		return !slices.ContainsFunc(f.Pods(), func(p Pod) bool { return p.Name == name })
	}, patience, 10*time.Millisecond, "%s has not ended", name)
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
	apply(t, f, of(service("a", 2, 30111, "{name: COLOUR, value: red}"), service("b", 1, 0, "")))
	now := pids(f)
	assert.True(t, now["b-0"] == before["b-0"] && now["a-2"] > 0 && now["a-3"] > 0, "processes %v, before %v", now, before)
	for _, ip := range hostsLines(t, f, "a") {
		env := envAt(t, ip+":8080")
		assert.Equal(t, "red", env["COLOUR"], "colour of a")
		assert.Contains(t, []string{"a-2", "a-3"}, env["HOSTNAME"], "a pod of a")
	}
	assert.Equal(t, 2, len(hostsLines(t, f, "a")), "endpoints of a")
	gone(t, f, "a-0")
	gone(t, f, "a-1")
	for _, pid := range []int{before["a-0"], before["a-1"]} {
		assert.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH, fmt.Sprintf("process %d", pid))
	}
	_, err := net.Dial("tcp", podIP(o, 1)+":65535")
	assert.ErrorIs(t, err, syscall.ECONNREFUSED, "the address of a pod that has ended")

	// more and fewer replicas, another Deployment, one less, another node port
	apply(t, f, of(service("a", 3, 30112, "{name: COLOUR, value: red}"), service("c", 1, 30111, "")))
	last := pids(f)
	assert.True(t, last["a-2"] == now["a-2"] && last["a-3"] == now["a-3"] && last["a-0"] > 0 && last["c-0"] > 0, "processes %v, before %v", last, now)
	gone(t, f, "b-0")
	assert.Equal(t, []int{3, 0, 1}, []int{len(hostsLines(t, f, "a")), len(hostsLines(t, f, "b")), len(hostsLines(t, f, "c"))}, "endpoints of a, b and c")
	ports := map[string]string{}
	for _, node := range f.NodePorts() {
		key := fmt.Sprintf("%s %d %d", node.Service, node.Declared, node.Address.Port())
		ports[key] = strings.TrimRight(envAt(t, node.Address.String())["HOSTNAME"], "-0123456789")
	}
	assert.Equal(t, map[string]string{"a 30112 30112": "a", "c 30111 30111": "c"}, ports, "node ports")
	apply(t, f, of(service("a", 1, 0, "{name: COLOUR, value: red}")))
	assert.Equal(t, last["a-2"], pids(f)["a-2"], "process of the last pod")
	assert.Empty(t, f.NodePorts(), "node ports")
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
		apply(t, f, colour(value))
		assert.Equal(t, value, envAt(t, address)["COLOUR"], "colour after the change")
	}
	stop.Store(true)
	sending.Wait()
	assert.True(t, seen["red"] > 0 && seen["green"] > 0 && seen[""] == 0, "responses %v", seen)
}

// TestChangeFails checks that a change that cannot be made leaves the fleet as it was.
func TestChangeFails(t *testing.T) {
	o := testOptions(t)
	o.Set = []Setting{{"a", "SIZE", "1"}}
	f := startFleet(t, decode(t, service("a", 1, 30114, "")), o)
	occupy(t, o.NodeAddress.String()+":30115")
	before, addresses := pids(f), hostsLines(t, f, "a")
	for _, test := range []struct{ name, manifests, want string }{
		{"a pod that exits", service("a", 1, 30114, "{name: FAKE_EXIT, value: '3'}"), "pod a-1: given up because it failed 5 times, last with exit status 3; its log is " + filepath.Join(o.State, "logs", "a-1.log") + ", which ends with\n  fake: FAKE_EXIT is set"},
		{"a node port in use", service("a", 1, 30115, ""), "NodePort 30115 of Service a: " + o.NodeAddress.String() + ":30115 is in use: stop the program that listens there, or take other addresses with --node-address, or another port with --node-port"},
		{"an unknown program", strings.Replace(service("a", 1, 30114, ""), "fleetman/staff-service", "fleetman/nobody", 1), `…image: "fleetman/nobody": must be fleetman/NAME…`},
		{"the Deployment of --set", service("b", 1, 0, ""), `--set "a": must be a Deployment of the manifests: b`},
	} {
		_, err := f.Apply(t.Context(), decode(t, test.manifests))
		wants.Error(t, test.name, err, test.want)
		gone(t, f, "a-1")
		now := []any{pids(f)["a-0"], hostsLines(t, f, "a"), len(f.NodePorts())}
		assert.Equal(t, []any{before["a-0"], addresses, 1}, now, "%s: process, addresses and number of node ports", test.name)
	}
	apply(t, f, decode(t, service("a", 1, 30114, "{name: COLOUR, value: red}"))) // after the failures
}

// TestChangeBack undoes a change that was in force.
func TestChangeBack(t *testing.T) {
	o := testOptions(t)
	f := startFleet(t, decode(t, service("a", 1, 30116, "")), o)
	addresses, node := hostsLines(t, f, "a"), f.NodePorts()[0].Address.String()
	c := stage(t, f, decode(t, service("a", 1, 30116, "{name: COLOUR, value: red}")))
	require.NoError(t, c.Run(t.Context()))
	assert.Equal(t, addresses, hostsLines(t, f, "a"), "a before Join")
	c.Join()
	c.Leave()
	assert.Equal(t, "red", envAt(t, node)["COLOUR"], "colour after Leave")
	c.Abort()
	assert.Equal(t, addresses, hostsLines(t, f, "a"), "a after Abort")
	gone(t, f, "a-1")
	assert.Equal(t, "", envAt(t, node)["COLOUR"], "colour after Abort")
}

// TestChangeNamespace adds a namespace, whose pods have a hosts file from their start, and removes it.
func TestChangeNamespace(t *testing.T) {
	o := testOptions(t)
	text := service("a", 1, 0, "")
	f := startFleet(t, decode(t, text), o)
	apart := strings.ReplaceAll(service("b", 1, 0, ""), "metadata: {name:", "metadata: {namespace: apart, name:")
	c := stage(t, f, decode(t, text+"---\n"+apart))
	file := filepath.Join(o.State, "hosts-apart")
	_, err := LookUp(file, "a.default") // before the pod starts
	require.NoError(t, err)
	require.NoError(t, c.Run(t.Context()))
	c.Join()
	c.Leave()
	c.Commit()
	_, err = LookUp(file, "b")
	require.NoError(t, err)
	apply(t, f, decode(t, text))
	gone(t, f, "apart/b-0")
	assert.NoFileExists(t, file)
}

// TestChangeReplaces replaces the pods that the caller names, and those of a changed ConfigMap.
func TestChangeReplaces(t *testing.T) {
	o := testOptions(t)
	text := service("a", 1, 0, "{name: COLOUR, valueFrom: {configMapKeyRef: {name: m, key: c}}}") + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {c: red}\n"
	f := startFleet(t, decode(t, text), o)
	c, err := f.Stage(t.Context(), decode(t, text), func(MeshPod) bool { return true })
	if err != nil || len(c.Added()) != 1 || c.Pods() != "1 pod started, 1 ended" {
		t.Fatalf("%+v, %v", c, err)
	}
	c.Abort()
	gone(t, f, "a-1")
	apply(t, f, decode(t, strings.Replace(text, "red", "green", 1)))
	assert.Equal(t, "green", envAt(t, hostsLines(t, f, "a")[0]+":8080")["COLOUR"], "colour after a change of the ConfigMap")
	f.Stop()
	_, err = f.Stage(t.Context(), decode(t, text), func(MeshPod) bool { return false })
	assert.ErrorIs(t, err, errStopping, "after Stop")
	left, _ := filepath.Glob(filepath.Join(o.State, "hosts*"))
	assert.Empty(t, left, "left behind")
	assert.DirExists(t, o.State)
}
