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

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
)

// TestMistakesInManifests: what only the manifests show is one line for each too.
func TestMistakesInManifests(t *testing.T) {
	e := decode(t, `# q?
arms:
  - name: a
    manifests: fleet.yaml
    env:
      frnt: {A: 1}
    replicas: {seventh: 2, eighth: 1}
    patches: [{kind: Deployment, metadata: {name: fifth}, spec: {}}]
  - name: b
    manifests: repo:gone
  - name: c
    manifests: [gone.yaml, "${n}.yaml"]
faults:
  - name: f
    inject:
      - {service: nobody, rules: reset}
      - {service: seventh, rules: "statsu=503,rate=1.3;delay=5"}
      - {service: seventh, replicas: 7, rules: reset}
load: {target: sevent, from: frnt, streams: [{path: /}]}
sweep: [{name: n, values: [a, b]}]
seeds: [1]
`, "front", "seventh")
	dir := filepath.Dir(e.Source)
	_, err := New(Options{Experiment: e, Root: dir, Out: t.TempDir()})
	assert.EqualError(t, err, strings.NewReplacer("PATH", e.Source, "DIR", dir).Replace(`PATH:6: arms[0].env.frnt: "frnt": must be a service of the arm a: front, seventh
PATH:7: arms[0].replicas.eighth: "eighth": must be a service of the arm a: front, seventh
PATH:8: arms[0].patches: Deployment fifth: must be one of the manifests, which have the names ["front" "seventh"] of this kind
PATH:10: arms[1].manifests: "repo:gone": no file DIR/gone: must be a file or a directory, from the repository
PATH:12: arms[2].manifests: "gone.yaml": no file DIR/gone.yaml: must be a file or a directory, from the directory of PATH; repo: begins a path in the repository
PATH:16: faults[0].inject[0].service: "nobody": must be a service of the arm a: front, seventh
PATH:17: faults[0].inject[1].rules: rule 1 (statsu=503,rate=1.3): "statsu": must be one of delay, status, reset, hang, truncate, slow, capacity, idle, crash, retry-after, queue, rate, over, method, path, header, after, for, every, count
PATH:17: faults[0].inject[1].rules: rule 1 (statsu=503,rate=1.3): rate: "1.3": must be a share from 0 to 1, or a range such as 0..1
PATH:17: faults[0].inject[1].rules: rule 2 (delay=5): delay: "5": must be a duration such as 2s, or a range such as 0s..5s
PATH:18: faults[0].inject[2].replicas: 7: must be at most 2, the pods of seventh in the arm a
PATH:19: load.target: "sevent": must be a service of the arm a: front, seventh
PATH:19: load.from: "frnt": must be a service of the arm a: front, seventh`))
}

// TestUnknownVariables: a misspelled variable is a mistake where it is written, and a note of a program whose
// variables are not known.
func TestUnknownVariables(t *testing.T) {
	e := decode(t, `# q?
fleet:
  env:
    all: {VARIAN: bad}
arms:
  - name: a
    manifests: [repo:k8s/base, fleet.yaml]
    env:
      staff-service: {RETRY_ATEMPTS: 3}
  - name: b
    from: a
    env: {mine: {COLOR: red}}
  - name: c
    manifests: repo:k8s/base
    replicas: {nobody: 1}
faults:
  - {name: f, inject: [{service: staff-service, replicas: [staff-service-1, staff-0, staff-service-0], rules: reset}]}
seeds: [1]
`, "mine")
	var notes []string
	o := Options{Experiment: e, Root: "../..", Out: t.TempDir(), Progress: func(line string) { notes = append(notes, strings.ReplaceAll(line, e.Source, "PATH")) }}
	_, err := New(o)
	assert.EqualError(t, err, strings.ReplaceAll(`PATH:4: fleet.env.all.VARIAN: "VARIAN": must be a variable of a service: did you mean VARIANT?
PATH:9: arms[0].env.staff-service.RETRY_ATEMPTS: "RETRY_ATEMPTS": must be a variable of staff-service: did you mean RETRY_ATTEMPTS?
PATH:15: arms[2].replicas.nobody: "nobody": must be a service of the arm c: api-gateway, position-simulator, position-tracker, staff-service, vehicle-telemetry, webapp
PATH:17: faults[0].inject[0].replicas: "staff-service-1": must be a pod of staff-service in the arm a, numbered from 0 to 0
PATH:17: faults[0].inject[0].replicas: "staff-0": must be a pod of staff-service in the arm a, numbered from 0 to 0`, "PATH", e.Source))
	require.Equal(t, []string{
		`PATH:4: fleet.env.all.VARIAN: "VARIAN": is not in the manifests, and the variables of the program are not known: did you mean VARIANT?`,
		`PATH:12: arms[1].env.mine.COLOR: "COLOR": is not in the manifests, and the variables of the program are not known`,
	}, notes)
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
