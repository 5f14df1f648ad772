package cluster

import (
	"strings"
	"testing"

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
	wants.Text(t, "set", applied.Pods, "Deployment staff-service changed…")
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
