package compare

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"fleetman.example/lab/golden"
	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
)

// TestMistakes: what only the manifests, or the place of the fleets, show is one line each, before anything starts.
func TestMistakes(t *testing.T) {
	var tests []struct {
		Name, Text, Want string
		StandIns, Notes  []string
		Parallel         bool // on a cluster
	}
	golden.Cases(t, "testdata/mistakes.yaml", &tests)
	for _, test := range tests {
		e := decode(t, test.Text, test.StandIns...)
		var notes []string
		o := Options{Experiment: e, Root: "../..", Out: t.TempDir(), Progress: func(line string) { notes = append(notes, strings.ReplaceAll(line, e.Source, "PATH")) }}
		if test.Parallel {
			o.Cluster = testCluster(t, "")
			o.Cluster.Parallel = true
		}
		_, err := New(o)
		want := strings.NewReplacer("PATH", e.Source, "DIR", filepath.Dir(e.Source)).Replace(test.Want)
		assert.EqualError(t, err, strings.TrimSuffix(want, "\n"), test.Name)
		assert.Equal(t, test.Notes, notes, test.Name+", notes")
	}
}

// TestMerge: a patch changes what it names, of lists with keys too, and nothing
// else.
func TestMerge(t *testing.T) {
	e := decode(t, `# q?
arms:
  - name: a
    manifests: repo:k8s/scenarios/resilience/mesh
    patches:
      - {kind: DestinationRule, metadata: {name: fleetman-staff-service}, spec: {trafficPolicy: {outlierDetection: {maxEjectionPercent: 10}}}}
      - {kind: Deployment, metadata: {name: api-gateway}, spec: {template: {spec: {containers: [{name: api-gateway, env: [{name: LOG_LEVEL, value: debug}]}]}}}}
seeds: [1]
`)
	objects := comparison(t, Options{Experiment: e, Root: "../..", Out: t.TempDir()}).plans[0].objects
	var rule struct {
		Spec struct {
			TrafficPolicy struct{ OutlierDetection map[string]any }
		}
	}
	i := slices.IndexFunc(objects.All, func(o manifest.Object) bool { return o.Kind == "DestinationRule" && o.Name == "fleetman-staff-service" })
	require.NoError(t, json.Unmarshal(objects.All[i].JSON, &rule))
	assert.Subset(t, rule.Spec.TrafficPolicy.OutlierDetection, map[string]any{"maxEjectionPercent": 10., "baseEjectionTime": "10s"})
	deployments := manifest.Of[*appsv1.Deployment](objects)
	i = slices.IndexFunc(deployments, func(d *appsv1.Deployment) bool { return d.Name == "api-gateway" })
	containers := deployments[i].Spec.Template.Spec.Containers
	require.Len(t, containers, 1)
	assert.Contains(t, containers[0].Env, corev1.EnvVar{Name: "LOG_LEVEL", Value: "debug"})
	assert.Greater(t, len(containers[0].Env), 1, "variables")
}

func TestSettings(t *testing.T) {
	e := decode(t, `# q?
arms: [{name: a, manifests: x, env: {all: {A: 1, SEED: 9}, front: {A: 2}}}]
seeds: [42]
`)
	p := Options{Experiment: e}.plans()[0]
	assert.Equal(t, []local.Setting{
		{Name: "SEED", Value: "42"},
		{Name: "FAULTS_SEED", Value: "42"},
		{Name: "UPSTREAM_SEED", Value: "42"},
		{Name: "A", Value: "1"},
		{Name: "SEED", Value: "9"},
		{Target: "front", Name: "A", Value: "2"},
	}, p.settings(), "settings")
	assert.Equal(t, []string{"x", "all A=1", "all SEED=9", "front A=2"}, p.recorded(), "recorded")
}
