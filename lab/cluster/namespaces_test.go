package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/manifest"
)

// putNamespace stores a namespace of the user with a label.
func putNamespace(a *api, name, label, value string) {
	a.put("v1", fmt.Sprintf(`{"kind":"Namespace","metadata":{"name":%q,"labels":{%q:%q}}}`, name, label, value))
}

// applyPlan stores what Plan prints as kubectl apply does: labels are added to a namespace that exists.
func applyPlan(t *testing.T, a *api, c *Client, scenario string) {
	t.Helper()
	var plan bytes.Buffer
	require.NoError(t, c.Plan(load(t, scenario), options(t), &plan))
	documents := strings.Split(strings.TrimPrefix(plan.String(), "---\n"), "---\n")
	for _, document := range documents[1:] { // after the ClusterRole
		var o struct {
			APIVersion, Kind string
			Metadata         struct{ Name string }
		}
		require.NoError(t, yaml.Unmarshal([]byte(document), &o))
		text, err := yaml.YAMLToJSON([]byte(document))
		require.NoError(t, err)
		path := "/api/v1/namespaces/" + o.Metadata.Name
		if there := a.get(path); o.Kind == "Namespace" && there != nil {
			var planned map[string]any
			require.NoError(t, yaml.Unmarshal(text, &planned))
			a.objects[path].own = merge(there.Object, planned)
			continue
		}
		a.put(o.APIVersion, string(text))
	}
}

// TestDownAfterPlan: down deletes no namespace that up did not create, also after a plan was applied there.
func TestDownAfterPlan(t *testing.T) {
	a := newAPI()
	putNamespace(a, "team", "team", "a")
	a.put("v1", `{"kind":"Service","metadata":{"name":"mine","namespace":"team"}}`)
	before := a.refs()
	c := a.client(t, "team")
	applyPlan(t, a, c, scenarios+"plain")
	assert.True(t, down(t, c), "found")
	a.wantRefs(t, before)
	assert.Equal(t, map[string]string{"team": "a"}, a.get("/api/v1/namespaces/team").GetLabels())
}

// TestLabelsOfOthers: a label that others have set to another value is an error, and one that they have set to the same
// value stays.
func TestLabelsOfOthers(t *testing.T) {
	for _, value := range []string{"disabled", "enabled"} {
		a := newAPI().withIstio("v1")
		putNamespace(a, "team", manifest.InjectNamespace, value)
		before := a.refs()
		c := a.client(t, "team")
		err := c.Up(t.Context(), load(t, scenarios+"sidecars"), options(t))
		if value == "enabled" {
			require.NoError(t, err)
			down(t, c)
		} else {
			require.EqualError(t, err, "cluster test: namespace team: label istio-injection: disabled: must be enabled, as in the manifests, or removed: fleetman up did not set it, and leaves it as it is")
		}
		a.wantRefs(t, before)
		assert.Equal(t, map[string]string{manifest.InjectNamespace: value}, a.get("/api/v1/namespaces/team").GetLabels())
	}
}

// withForeign returns manifests with a namespace that is not the fleet's own.
func withForeign(t *testing.T) *manifest.Objects {
	t.Helper()
	path := filepath.Join(t.TempDir(), "foreign.yaml")
	require.NoError(t, os.WriteFile(path, []byte(`apiVersion: v1
kind: Namespace
metadata: {name: foreign, labels: {team: red}}
---
apiVersion: v1
kind: Service
metadata: {name: theirs, namespace: foreign}
spec: {ports: [{port: 80}]}
`), 0o600))
	return load(t, path)
}

// TestForeignNamespace: a namespace of the manifests that exists and is not the fleet's needs an agreement, and has its
// labels back after down.
func TestForeignNamespace(t *testing.T) {
	a := newAPI()
	putNamespace(a, "foreign", "owner", "b")
	before := a.refs()
	o, c := options(t), a.client(t, "x")
	var asked []string
	o.Agree = func(objects []string) error { asked = objects; return errors.New("no") }
	require.EqualError(t, c.Up(t.Context(), withForeign(t), o), "no")
	assert.Equal(t, []string{"Namespace foreign", "Service foreign/theirs"}, asked)
	a.wantRefs(t, before)
	up(t, c, withForeign(t), options(t))
	assert.Equal(t, map[string]string{"owner": "b", "team": "red"}, a.get("/api/v1/namespaces/foreign").GetLabels())
	down(t, c)
	a.wantRefs(t, before)
	assert.Equal(t, map[string]string{"owner": "b"}, a.get("/api/v1/namespaces/foreign").GetLabels())
}

// TestOwnAgain: the namespaces that up has created need no agreement.
func TestOwnAgain(t *testing.T) {
	a := newAPI()
	o, c := options(t), a.client(t, "x")
	o.Agree = func(objects []string) error { return fmt.Errorf("asked for %s", objects) }
	up(t, c, withForeign(t), o)
	up(t, c, withForeign(t), o)
	down(t, c)
	a.wantRefs(t, []string{"Node one"})
}

// TestDownWithoutSecret: down finds a fleet by its labels, and so does up.
func TestDownWithoutSecret(t *testing.T) {
	a := newAPI().withIstio("v1")
	putNamespace(a, "team", "team", "a")
	a.put("v1", `{"kind":"Service","metadata":{"name":"mine","namespace":"team","labels":{"app.kubernetes.io/part-of":"fleetman"}}}`)
	before := a.refs()
	c := a.client(t, "team")
	orphan := func(scenario string) {
		up(t, c, load(t, scenarios+scenario), options(t))
		a.mu.Lock()
		delete(a.objects, "/api/v1/namespaces/team/secrets/"+adminSecret)
		a.mu.Unlock()
	}
	orphan("sidecars")
	assert.True(t, down(t, c), "found")
	a.wantRefs(t, before)
	orphan("plain")
	plain := a.refs()
	assert.True(t, down(t, c), "found")
	orphan("circuit-breaking")
	orphan("plain")
	a.wantRefs(t, plain)
	assert.True(t, down(t, c), "found")
	a.wantRefs(t, before)
	assert.False(t, down(t, c), "found without a fleet")
}

// TestRole: the role of a plan names the Secret and the namespaces, and is another one for each scenario.
func TestRole(t *testing.T) {
	a := newAPI()
	o := options(t)
	o.Manifests = []string{"/k8s/scenarios/egress", "/more.yaml"}
	var plan bytes.Buffer
	require.NoError(t, a.client(t, "x").Plan(load(t, scenarios+"egress"), o, &plan))
	var role rbacv1.ClusterRole
	document, _, _ := strings.Cut(strings.TrimPrefix(plan.String(), "---\n"), "---\n")
	require.NoError(t, yaml.UnmarshalStrict([]byte(document), &role))
	assert.Equal(t, "fleetman-x-egress-more", role.Name)
	var restricted []rbacv1.PolicyRule
	for _, rule := range role.Rules {
		if slices.Contains(rule.Resources, "secrets") || slices.Contains(rule.Resources, "namespaces") {
			restricted = append(restricted, rule)
		}
	}
	assert.Equal(t, []rbacv1.PolicyRule{
		named(allow("", "secrets", "get", "create", "patch", "delete"), "fleetman-admin"),
		allow("", "namespaces", "create"),
		named(allow("", "namespaces", "get"), "outside", "x"),
		named(allow("", "namespaces", "patch", "delete"), "outside", "x"),
	}, restricted)
}

// TestDownWithoutList: down needs no permission to list namespaces.
func TestDownWithoutList(t *testing.T) {
	a := newAPI()
	c := a.client(t, "")
	up(t, c, load(t, scenarios+"plain"), options(t))
	a.refuse(http.MethodGet, "/api/v1/namespaces", 403, "namespaces is forbidden")
	assert.True(t, down(t, c), "found")
	a.wantRefs(t, []string{"Node one"})
}
