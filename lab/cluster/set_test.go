package cluster

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/control"
	"fleetman.example/lab/local"
	"fleetman.example/lab/wants"
)

// TestSet changes Deployments over their manifests; an unknown name changes nothing.
func TestSet(t *testing.T) {
	a := newAPI()
	c := a.client(t, "")
	up(t, c, load(t, scenarios+"plain"), options(t))
	applied, err := c.Set(t.Context(), control.Override{
		Replicas: map[string]int{"staff-service": 3}, Set: []local.Setting{{Target: "staff-service", Name: "VARIANT", Value: "bad"}},
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"Deployment staff-service"}, applied.Changed, "changed")
	n, _ := containerOf(t, a, "fleetman", "staff-service")
	assert.Equal(t, int32(3), n, "replicas")
	assert.Contains(t, strings.Join(a.patches, "\n"), `{"spec":{"template":{"spec":{"containers":[{"env":[{"name":"VARIANT","value":"bad","valueFrom":null}],"name":"`)
	before := len(a.patches)
	_, err = c.Set(t.Context(), control.Override{Set: []local.Setting{{Target: "staff-service", Name: "VARIAN", Value: "bad"}}})
	wants.Error(t, "a misspelled variable", err, `staff-service: "VARIAN": must be a variable of staff-service: did you mean VARIANT?`)
	_, err = c.Set(t.Context(), control.Override{Replicas: map[string]int{"nobody": 3}})
	wants.Error(t, "an unknown Deployment", err, `"nobody": must be one of api-gateway, …`)
	assert.Len(t, a.patches, before, "patches")
}

// TestSetWaits: set returns when the new pods are ready, whatever others are, and after an error nothing has changed.
func TestSetWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI()
		c := a.client(t, "")
		up(t, c, load(t, scenarios+"plain"), options(t))
		pod := func(deployment, status string) {
			a.put("v1", `{"kind":"Pod","metadata":{"name":"`+deployment+`-1-x","namespace":"fleetman","labels":{"app.kubernetes.io/managed-by":"fleetman","pod-template-hash":"1"},
				"ownerReferences":[{"kind":"ReplicaSet","name":"`+deployment+`-1"}]},"spec":{"containers":[{"name":"c","image":"fleetman/staff-service:6"}]},"status":`+status+`}`)
		}
		missing := `{"containerStatuses":[{"name":"c","image":"fleetman/staff-service:6","state":{"waiting":{"reason":"ErrImageNeverPull"}}}]}`
		pod("webapp", missing)
		pod("staff-service", `{"phase":"Pending"}`)
		ready := time.AfterFunc(900*time.Millisecond, func() { pod("staff-service", `{"conditions":[{"type":"Ready","status":"True"}]}`) })
		defer ready.Stop()
		began := time.Now()
		set := control.Override{Replicas: map[string]int{"staff-service": 3}, Set: []local.Setting{
			{Target: "staff-service", Name: "VARIANT", Value: "bad"}, {Target: "staff-service", Name: "ADMIN_ADDR", Value: ":9091"},
		}}
		_, err := c.Set(t.Context(), set)
		require.NoError(t, err)
		assert.Equal(t, time.Second, time.Since(began), "waited until the next look")

		before := len(a.patches)
		pod("staff-service", missing)
		set.Replicas["staff-service"] = 2
		_, err = c.Set(t.Context(), set)
		wants.Error(t, "a pod that does not start", err, "not ready after 11s: pod staff-service-1-x: image missing: …; the old objects are restored")
		n, _ := containerOf(t, a, "fleetman", "staff-service")
		assert.Equal(t, int32(3), n, "replicas")
		undone := strings.Join(a.patches[before+3:], "\n")
		assert.Contains(t, undone, `{"$patch":"delete","name":"VARIANT"}`)
		assert.Contains(t, undone, `{"name":"ADMIN_ADDR","value":":9090","valueFrom":null}`)
	})
}
