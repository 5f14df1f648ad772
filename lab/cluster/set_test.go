package cluster

import (
	"strings"
	"testing"

	"fleetman.example/lab/control"
	"fleetman.example/lab/local"
)

// TestSet changes Deployments over their manifests; an unknown name changes nothing.
func TestSet(t *testing.T) {
	a := newAPI()
	c := a.client(t, "")
	up(t, c, load(t, scenarios+"plain"), options(t))
	applied, err := c.Set(t.Context(), control.Override{
		Replicas: map[string]int{"staff-service": 3}, Set: []local.Setting{{Target: "staff-service", Name: "VARIANT", Value: "bad"}},
	})
	if err != nil || !strings.HasPrefix(applied.Pods, "Deployment staff-service changed") {
		t.Errorf("set: %+v, %v", applied, err)
	}
	if n, _ := containerOf(t, a, "fleetman", "staff-service"); n != 3 {
		t.Errorf("replicas %v, want 3", n)
	}
	text := strings.Join(a.patches, "\n")
	if !strings.Contains(text, `{"spec":{"template":{"spec":{"containers":[{"env":[{"name":"VARIANT","value":"bad","valueFrom":null}],"name":"`) {
		t.Errorf("patches: %s", text)
	}
	before := len(a.patches)
	_, err = c.Set(t.Context(), control.Override{Set: []local.Setting{{Target: "staff-service", Name: "VARIAN", Value: "bad"}}})
	if err == nil || err.Error() != `staff-service: "VARIAN": must be a variable of staff-service: did you mean VARIANT?` || len(a.patches) != before {
		t.Errorf("a misspelled variable: %v, %d patches", err, len(a.patches))
	}
	_, err = c.Set(t.Context(), control.Override{Replicas: map[string]int{"nobody": 3}})
	if err == nil || !strings.HasPrefix(err.Error(), `"nobody": must be one of api-gateway, `) || len(a.patches) != before {
		t.Errorf("an unknown Deployment: %v, %d patches", err, len(a.patches)-before)
	}
}
