package cluster

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
)

// changedCopy copies the manifests, with one text replaced in one file, and returns the directory of a scenario.
func changedCopy(t *testing.T, scenario, file, from, to string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("../../k8s")))
	path := filepath.Join(dir, file)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), from, file)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o644))
	return filepath.Join(dir, "scenarios", scenario)
}

// containerOf returns the number of pods of a Deployment, and its first container.
func containerOf(t *testing.T, a *api, namespace, name string) (replicas int32, container corev1.Container) {
	t.Helper()
	o := a.get("/apis/apps/v1/namespaces/" + namespace + "/deployments/" + name)
	require.NotNil(t, o, "Deployment %s", name)
	var d appsv1.Deployment
	require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &d))
	return *d.Spec.Replicas, d.Spec.Template.Spec.Containers[0]
}

// TestApply: Deployments change, too, and keep what the flags of up have changed.
func TestApply(t *testing.T) {
	a := newAPI()
	o := options(t)
	o.Change = Change{Replicas: map[string]int{"staff-service": 3}, Set: []local.Setting{{Target: "webapp", Name: "VARIANT", Value: "experimental"}}}
	c := a.client(t, "")
	c.images = "r.example/team/"
	up(t, c, load(t, scenarios+"plain"), o)
	changed := changedCopy(t, "plain", "base/staff-service.yaml", `value: ":9090"`, `value: "0.0.0.0:9090"`)
	later := a.client(t, "") // another command, without the flags
	applied, err := later.Apply(t.Context(), []string{changed})
	require.NoError(t, err)
	assert.Equal(t, []string{"Deployment fleetman/staff-service changed"}, applied.Changed)
	replicas, staff := containerOf(t, a, "fleetman", "staff-service")
	assert.Equal(t, int32(3), replicas, "pods of staff-service")
	assert.Equal(t, "r.example/team/fleetman/staff-service:6", staff.Image)
	assert.Contains(t, staff.Env, corev1.EnvVar{Name: "ADMIN_ADDR", Value: "0.0.0.0:9090"})
	_, webapp := containerOf(t, a, "fleetman", "webapp")
	assert.Equal(t, "r.example/team/fleetman/webapp:6", webapp.Image)
	assert.Contains(t, webapp.Env, corev1.EnvVar{Name: "VARIANT", Value: "experimental"})
	assert.Equal(t, changed, a.get("/api/v1/namespaces/fleetman/secrets/" + adminSecret).GetAnnotations()[manifestsOf], "manifests")
	applied, err = later.Apply(t.Context(), []string{changed})
	require.NoError(t, err)
	assert.Empty(t, applied.Changed, "the second time")
	_, err = a.client(t, "x").Apply(t.Context(), []string{changed})
	require.EqualError(t, err, "cluster test: no fleet in namespace x: start one with fleetman up --context test --namespace x, or name its namespace with --namespace")
}

// TestApplySwitches: apply goes from one scenario to another, namespaces included.
func TestApplySwitches(t *testing.T) {
	a := newAPI().withIstio("v1")
	c := a.client(t, "")
	up(t, c, load(t, scenarios+"plain"), options(t))
	plain := a.refs()
	applied, err := c.Apply(t.Context(), []string{scenarios + "egress"})
	require.NoError(t, err)
	assert.Subset(t, applied.Changed, []string{
		"Namespace fleetman changed", "Namespace outside created", "Deployment outside/driver-monitoring created",
		"ServiceEntry fleetman/driver-monitoring created", "Deployment fleetman/webapp changed",
	})
	assert.Equal(t, "enabled", a.get("/api/v1/namespaces/fleetman").GetLabels()[manifest.InjectNamespace])
	applied, err = c.Apply(t.Context(), []string{scenarios + "plain"})
	require.NoError(t, err)
	a.wantRefs(t, plain)
	assert.Contains(t, applied.Changed, "Namespace outside deleted")
}

// TestApplyRestores: after an error in the middle everything is as before.
func TestApplyRestores(t *testing.T) {
	a := newAPI().withIstio("v1")
	c := a.client(t, "")
	up(t, c, load(t, scenarios+"plain"), options(t))
	before := a.refs()
	_, webapp := containerOf(t, a, "fleetman", "webapp")
	a.refuse(http.MethodPatch, "/serviceentries/driver-monitoring", 500, "broken")
	_, err := c.Apply(t.Context(), []string{scenarios + "egress"})
	require.EqualError(t, err, "cluster test: ServiceEntry fleetman/driver-monitoring: broken; the old objects are restored")
	a.wantRefs(t, before)
	_, now := containerOf(t, a, "fleetman", "webapp")
	assert.Equal(t, webapp.Image, now.Image)
	assert.Empty(t, a.get("/api/v1/namespaces/fleetman").GetLabels()[manifest.InjectNamespace])
	a.before = nil
	applied, err := c.Apply(t.Context(), []string{scenarios + "plain"})
	require.NoError(t, err)
	assert.Empty(t, applied.Changed, "apply of the old manifests")
}

// TestApplyAgrees: objects outside of the fleet's namespaces need an agreement, once.
func TestApplyAgrees(t *testing.T) {
	a := newAPI().withIstio("v1")
	c := a.client(t, "")
	up(t, c, load(t, scenarios+"sidecars"), options(t))
	before := a.refs()
	apply := func() error {
		_, err := c.Apply(t.Context(), []string{scenarios + "circuit-breaking-everywhere"})
		return err
	}
	require.EqualError(t, apply(), "cluster test: DestinationRule istio-system/fleetman-everywhere: in another namespace: must be agreed to")
	var asked []string
	c.ask = func(objects []string) error { asked = objects; return errors.New("no") }
	require.EqualError(t, apply(), "no")
	assert.Equal(t, []string{"DestinationRule istio-system/fleetman-everywhere"}, asked)
	a.wantRefs(t, before)
	c.ask = func([]string) error { return nil }
	require.NoError(t, apply())
	c.ask = nil // nothing changes there
	require.NoError(t, apply(), "the second time")
	down(t, c)
	a.wantRefs(t, []string{"Node one"})
}
