package k8stest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"fleetman.example/lab/manifest"
)

// traps match commands that mislead a reader, keyed by the reason.
var traps = map[string]*regexp.Regexp{
	"with a label kubectl prints ten lines for each pod: use --tail=-1":                                     regexp.MustCompile(`kubectl logs -l (?:[^\n|-]|-[^-]|--[^t])*[|\n]`),
	"the commands after an endless loop never run":                                                          regexp.MustCompile(`(?m)^while `),
	"NODE is a variable: use $NODE":                                                                         regexp.MustCompile(`[^$]NODE:`),
	"the namespace is a variable: use $NAMESPACE":                                                           regexp.MustCompile("(kubectl|istioctl) [^`\n]*(namespace default|[.]default[.]svc)"),
	"it restarts all pods of the namespace":                                                                 regexp.MustCompile("kubectl rollout restart deployment *[\n`#]"),
	"the container may end before kubectl is attached, and nothing is printed: use sleep, and kubectl exec": regexp.MustCompile(`kubectl debug .* -- +(?:[^s\n]|s[^l\n])`),
	"a missing object is an error, and the namespace default cannot be deleted":                             regexp.MustCompile(`(?m)^kubectl delete -[fk] (?:[^-\n]|-[^-\n]|--[^i\n])*$`),
}

const (
	// screen is how many lines fit a screen.
	screen   = 65
	selector = " -l app.kubernetes.io/part-of=fleetman"
	rollout  = "kubectl rollout status deployment" + selector + " --timeout=2m\n"
	// In the first seconds after a rollout node ports refuse connections, and names do not resolve.
	answering = "curl -sf -o /dev/null --retry 30 --retry-delay 1 --retry-all-errors "
	// A Service that is created again while old pods terminate leads to those pods alone.
	gone = "kubectl wait --for=delete pods" + selector + " --timeout=2m\n"
)

var setEnv = regexp.MustCompile(`kubectl set env ((?:deployment/\S+ )+)(\w+)=`)

// checkReadme checks a scenario's README: its commands apply the scenario, wait until it is ready, and delete
// everything that they have created.
func checkReadme(t *testing.T, name string, objects *manifest.Objects) {
	t.Helper()
	dir := "k8s/scenarios/" + name
	text := read(t, k8s, "scenarios", name, "README.md")
	for why, trap := range traps {
		assert.Empty(t, trap.FindString(text), "README.md: %s", why)
	}
	assert.LessOrEqual(t, strings.Count(text, "\n"), screen, "lines of README.md")
	try, undo, _ := strings.Cut(text, "## Undo\n```sh\n")
	assert.Regexp(t, "^# ", text, "README.md: title")
	assert.Contains(t, try, "## What you will see\n")
	before, then, _ := strings.Cut(try, "## Try it\n```sh\nkubectl apply -k "+dir+"\n")
	assert.NotEmpty(t, then, "README.md: commands after kubectl apply -k %s", dir)
	assert.NotContains(t, before, "```", "README.md: commands before kubectl apply -k %s", dir)
	then = strings.TrimPrefix(then, "kubectl label namespace $NAMESPACE istio-injection-   # it would take precedence over the revision\n")
	then = strings.TrimPrefix(then, "kubectl rollout restart deployment"+selector+"   # for pods that are older than the label\n")
	assert.True(t, strings.HasPrefix(then, rollout+answering), "README.md: the commands after apply must wait for the pods and the node port")
	assert.Contains(t, try, "`fleetman up "+map[bool]string{true: "--mesh "}[objects.NeedsMesh()]+dir+"`")
	checkUndo(t, dir, try, undo, objects)
}

func checkUndo(t *testing.T, dir, try, undo string, objects *manifest.Objects) {
	t.Helper()
	commands, _, _ := strings.Cut(undo, "```")
	want := gone
	for _, n := range manifest.Of[*corev1.Namespace](objects) {
		if n.Name != manifest.DefaultNamespace {
			want += "kubectl wait --for=delete namespace/" + n.Name + " --timeout=2m\n"
		}
	}
	assert.True(t, strings.HasSuffix(commands, want), "README.md: the end of Undo: must be %q", want)
	assert.Contains(t, commands, "kubectl delete -k "+dir+selector+" --ignore-not-found")
	if _, err := os.Stat(filepath.Join("../..", dir, "istio.yaml")); err == nil {
		assert.Contains(t, commands, "kubectl delete -f "+dir+"/istio.yaml --ignore-not-found")
	}
	// apply restores the variables of the manifests, and keeps others
	for _, set := range setEnv.FindAllStringSubmatch(try, -1) {
		for target := range strings.FieldsSeq(set[1]) {
			d, _ := strings.CutPrefix(target, "deployment/")
			if !setsVariable(objects, d, set[2]) {
				assert.Contains(t, undo, "kubectl set env "+target+" "+set[2]+"-")
			}
		}
	}
}

// setsVariable reports whether the manifests set a Deployment's variable.
func setsVariable(objects *manifest.Objects, deployment, variable string) bool {
	return slices.ContainsFunc(manifest.Of[*appsv1.Deployment](objects), func(d *appsv1.Deployment) bool {
		return d.Name == deployment && slices.ContainsFunc(d.Spec.Template.Spec.Containers[0].Env, func(e corev1.EnvVar) bool { return e.Name == variable })
	})
}

// TestTraps checks misleading commands of earlier READMEs, and their replacements.
func TestTraps(t *testing.T) {
	for _, test := range []struct {
		command string
		caught  bool
	}{
		{"kubectl debug --profile=restricted -it pod/webapp --image=curlimages/curl -- curl -i fleetman-staff-service:8080/\n", true},
		{"echo 'curl -s x; exit' | kubectl debug -qi pod/webapp --image=curlimages/curl:8.12.1 -- sh\n", true},
		{"kubectl debug --profile=restricted $POD --image=curlimages/curl:8.12.1 --container=curl -- sleep 30\n", false},
		{"kubectl delete -k k8s/scenarios/egress\n", true},
		{"kubectl delete -k k8s/scenarios/egress -l app.kubernetes.io/part-of=fleetman --ignore-not-found   # everything\n", false},
		{"kubectl delete -f k8s/scenarios/egress/istio.yaml   # the rules\n", true},
		{"kubectl logs -l app=staff-service -c istio-proxy | tail\n", true},
		{"kubectl logs -l app=staff-service -c istio-proxy --tail=-1 | tail\n", false},
		{"kubectl rollout restart deployment\n", true},
		{"curl NODE:30080\n", true},
	} {
		caught := false
		for _, trap := range traps {
			caught = caught || trap.MatchString(test.command)
		}
		assert.Equal(t, test.caught, caught, test.command)
	}
}
