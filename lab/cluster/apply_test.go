package cluster

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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
	if err != nil || !strings.Contains(string(text), from) {
		t.Fatalf("%s has no %s: %v", file, from, err)
	}
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o644))
	return filepath.Join(dir, "scenarios", scenario)
}

// containerOf returns the number of pods of a Deployment, and its first container.
func containerOf(t *testing.T, a *api, namespace, name string) (replicas int32, container corev1.Container) {
	t.Helper()
	o := a.get("/apis/apps/v1/namespaces/" + namespace + "/deployments/" + name)
	if o == nil {
		t.Fatalf("no Deployment %s", name)
	}
	var d appsv1.Deployment
	require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &d))
	return *d.Spec.Replicas, d.Spec.Template.Spec.Containers[0]
}

func hasVariable(container corev1.Container, name, value string) bool {
	return slices.Contains(container.Env, corev1.EnvVar{Name: name, Value: value})
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
	if want := []string{"Deployment fleetman/staff-service changed"}; !slices.Equal(applied.Changed, want) {
		t.Errorf("changed %q, want %q", applied.Changed, want)
	}
	replicas, staff := containerOf(t, a, "fleetman", "staff-service")
	if replicas != 3 || staff.Image != "r.example/team/fleetman/staff-service:6" || !hasVariable(staff, "ADMIN_ADDR", "0.0.0.0:9090") {
		t.Errorf("staff-service: %d replicas, image %v, %v", replicas, staff.Image, staff.Env)
	}
	if _, webapp := containerOf(t, a, "fleetman", "webapp"); webapp.Image != "r.example/team/fleetman/webapp:6" || !hasVariable(webapp, "VARIANT", "experimental") {
		t.Errorf("webapp: image %v, %v", webapp.Image, webapp.Env)
	}
	if got := a.get("/api/v1/namespaces/fleetman/secrets/" + adminSecret).GetAnnotations()[manifestsOf]; got != changed {
		t.Errorf("manifests: %s, want %s", got, changed)
	}
	if applied, err = later.Apply(t.Context(), []string{changed}); err != nil || len(applied.Changed) > 0 {
		t.Errorf("the second time: %q, %v", applied.Changed, err)
	}
	if _, err := a.client(t, "x").Apply(t.Context(), []string{changed}); err == nil || !strings.Contains(err.Error(), "no fleet in namespace x") {
		t.Errorf("without a fleet: %v", err)
	}
}

// TestApplySwitches: apply goes from one scenario to another, namespaces included.
func TestApplySwitches(t *testing.T) {
	a := newAPI().withIstio("v1")
	c := a.client(t, "")
	up(t, c, load(t, scenarios+"plain"), options(t))
	plain := a.refs()
	applied, err := c.Apply(t.Context(), []string{scenarios + "egress"})
	require.NoError(t, err)
	for _, want := range []string{
		"Namespace fleetman changed", "Namespace outside created", "Deployment outside/driver-monitoring created",
		"ServiceEntry fleetman/driver-monitoring created", "Deployment fleetman/webapp changed",
	} {
		if !slices.Contains(applied.Changed, want) {
			t.Errorf("no %q in %q", want, applied.Changed)
		}
	}
	if got := a.get("/api/v1/namespaces/fleetman").GetLabels()[manifest.InjectNamespace]; got != "enabled" {
		t.Errorf("the namespace's label is %q", got)
	}
	if applied, err = c.Apply(t.Context(), []string{scenarios + "plain"}); err != nil {
		t.Fatal(err)
	}
	a.wantRefs(t, plain)
	if !slices.Contains(applied.Changed, "Namespace outside deleted") {
		t.Errorf("changed %q", applied.Changed)
	}
}

// TestApplyRestores: after an error in the middle everything is as before.
func TestApplyRestores(t *testing.T) {
	a := newAPI().withIstio("v1")
	c := a.client(t, "")
	up(t, c, load(t, scenarios+"plain"), options(t))
	before := a.refs()
	_, webapp := containerOf(t, a, "fleetman", "webapp")
	a.before = func(r *http.Request) (int, string) {
		if r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/serviceentries/driver-monitoring") && r.URL.Query().Get("dryRun") == "" {
			return 500, "broken"
		}
		return 0, ""
	}
	_, err := c.Apply(t.Context(), []string{scenarios + "egress"})
	want := "cluster test: ServiceEntry fleetman/driver-monitoring: broken; the old objects are restored"
	wantError(t, err, want)
	a.wantRefs(t, before)
	if _, now := containerOf(t, a, "fleetman", "webapp"); now.Image != webapp.Image {
		t.Errorf("webapp: %v, want %v", now.Image, webapp.Image)
	}
	if got := a.get("/api/v1/namespaces/fleetman").GetLabels()[manifest.InjectNamespace]; got != "" {
		t.Errorf("the namespace's label is %q", got)
	}
	a.before = nil
	if applied, err := c.Apply(t.Context(), []string{scenarios + "plain"}); err != nil || len(applied.Changed) > 0 {
		t.Errorf("apply of the old manifests: %q, %v", applied.Changed, err)
	}
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
	want := "cluster test: DestinationRule istio-system/fleetman-everywhere: in another namespace: must be agreed to"
	if err := apply(); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	var asked []string
	c.ask = func(objects []string) error { asked = objects; return errors.New("no") }
	if err := apply(); err == nil || err.Error() != "no" || !slices.Equal(asked, []string{"DestinationRule istio-system/fleetman-everywhere"}) {
		t.Errorf("asked for %q, got %v", asked, err)
	}
	a.wantRefs(t, before)
	c.ask = func([]string) error { return nil }
	require.NoError(t, apply())
	c.ask = nil // nothing changes there
	if err := apply(); err != nil {
		t.Errorf("the second time: %v", err)
	}
	down(t, c)
	a.wantRefs(t, []string{"Node one"})
}
