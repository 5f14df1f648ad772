package e2e

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"fleetman.example/lab/mesh"
	"fleetman.example/lab/wants"
)

// TestRevisions moves a namespace to a second control plane and back, under traffic, by applying two scenarios.
func TestRevisions(t *testing.T) {
	t.Parallel()
	before, moved := manifests(t, scenarios("sidecars")), manifests(t, scenarios("upgrade-by-revision"))
	m, _ := startMesh(t, before)
	webapp := nodePort(m.Fleet().NodePorts(), "fleetman-webapp")
	istiods := func() (all []mesh.IstiodStatus) {
		status := m.Status(t.Context())
		return status.Istiods()
	}
	if all := istiods(); len(all) != 1 || all[0].Name != "istiod" || all[0].Revision != "default" {
		t.Fatalf("istiods before: %+v", all)
	}
	checkRevisions(t, m, "default")

	stop := sendUntil(t, webapp+"/api/vehicles/driver/City%20Truck", 2)
	applied, err := m.Apply(t.Context(), moved)
	if err != nil || applied.Pods != "6 pods started, 6 ended" {
		t.Fatalf("%+v, %v", applied, err)
	}
	good(t, m)
	checkRevisions(t, m, "next")
	for _, pod := range m.Fleet().Pods() {
		if pod.State == "running" && pod.Revision != "next" {
			t.Errorf("pod %s is under revision %q", pod.Name, pod.Revision)
		}
	}
	all := istiods()
	if len(all) != 2 || all[1].Name != "istiod-next" || !strings.HasSuffix(all[1].Log, "istiod-next.log") {
		t.Fatalf("istiods: %+v", all)
	}

	// a control plane that fails is restarted alone
	if did, err := m.Kill("istiod-next", syscall.SIGKILL); err != nil || did != fmt.Sprintf("istiod-next (process %d): sent signal 9 (killed)", all[1].PID) {
		t.Fatalf("%s, %v", did, err)
	}
	await(t, "istiod-next's return", func() bool {
		now := istiods()
		return len(now) == 2 && now[1].Ready && now[1].Restarts == 1 && now[0].Restarts == 0 && now[0].PID == all[0].PID
	})
	good(t, m)
	checkRevisions(t, m, "next")

	if applied, err := m.Apply(t.Context(), before); err != nil || applied.Pods != "6 pods started, 6 ended" {
		t.Fatalf("%+v, %v", applied, err)
	}
	await(t, "the end of istiod-next", func() bool { return len(istiods()) == 1 })
	_, err = m.Kill("istiod-next", syscall.SIGKILL)
	wants.Error(t, "killing istiod-next, which has ended", err, `"istiod-next": must be a pod: …; or a control plane: istiod`)
	good(t, m)
	checkRevisions(t, m, "default")
	if err := syscall.Kill(istiods()[0].PID, 0); err != nil {
		t.Errorf("istiod: %v", err)
	}
	if counts := stop(); len(counts) == 0 || counts["safe"] != total(counts) {
		t.Errorf("responses meanwhile %v", counts)
	}
	if err := m.Err(); err != nil {
		t.Error(err)
	}
}

// checkRevisions checks the revision of the pods' proxies. The gateway's is the default one.
func checkRevisions(t *testing.T, m *mesh.Mesh, want string) {
	t.Helper()
	await(t, "the old pods' end", func() bool { return len(m.Fleet().Pods()) == 6 })
	revisions, err := m.Revisions(t.Context())
	require.NoError(t, err)
	var others []string
	for name, revision := range revisions {
		if of := map[bool]string{true: "default", false: want}[name == "istio-ingressgateway"]; revision != of {
			others = append(others, name+" "+revision)
		}
	}
	if len(revisions) != 7 || len(others) > 0 {
		slices.Sort(others)
		t.Errorf("%d proxies, others than %s: %q", len(revisions), want, others)
	}
}
