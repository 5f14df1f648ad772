package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
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
	require.Equal(t, "6 pods started, 6 ended", apply(t, m, moved).Pods)
	good(t, m)
	checkRevisions(t, m, "next")
	for _, pod := range m.Fleet().Pods() {
		assert.True(t, pod.State != "running" || pod.Revision == "next", "pod %s is under revision %q", pod.Name, pod.Revision)
	}
	all := istiods()
	if len(all) != 2 || all[1].Name != "istiod-next" || !strings.HasSuffix(all[1].Log, "istiod-next.log") {
		t.Fatalf("istiods: %+v", all)
	}

	// a control plane that fails is restarted alone
	did, err := m.Kill("istiod-next", syscall.SIGKILL)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("istiod-next (process %d): sent signal 9 (killed)", all[1].PID), did)
	await(t, "istiod-next's return", func() bool {
		now := istiods()
		return len(now) == 2 && now[1].Ready && now[1].Restarts == 1 && now[0].Restarts == 0 && now[0].PID == all[0].PID
	})
	good(t, m)
	checkRevisions(t, m, "next")

	require.Equal(t, "6 pods started, 6 ended", apply(t, m, before).Pods)
	await(t, "the end of istiod-next", func() bool { return len(istiods()) == 1 })
	_, err = m.Kill("istiod-next", syscall.SIGKILL)
	wants.Error(t, "killing istiod-next, which has ended", err, `"istiod-next": must be a pod: …; or a control plane: istiod`)
	good(t, m)
	checkRevisions(t, m, "default")
	assert.NoError(t, syscall.Kill(istiods()[0].PID, 0), "istiod")
	assert.Equal(t, []string{"safe"}, slices.Collect(maps.Keys(stop())), "responses meanwhile")
	assert.NoError(t, m.Err())
}

// checkRevisions checks the revision of the pods' proxies. The gateway's is the default one.
func checkRevisions(t *testing.T, m *mesh.Mesh, want string) {
	t.Helper()
	await(t, "the old pods' end", func() bool { return len(m.Fleet().Pods()) == 6 })
	revisions, err := m.Revisions(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "default", revisions["istio-ingressgateway"])
	delete(revisions, "istio-ingressgateway")
	assert.Len(t, revisions, 6)
	for name, revision := range revisions {
		assert.Equal(t, want, revision, name)
	}
}
