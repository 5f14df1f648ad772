package k8stest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

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
	data, err := os.ReadFile(filepath.Join(k8s, "scenarios", name, "README.md"))
	if err != nil {
		t.Error(err)
		return
	}
	text := string(data)
	for why, trap := range traps {
		if found := trap.FindString(text); found != "" {
			t.Errorf("README.md: %q: %s", found, why)
		}
	}
	if lines := strings.Count(text, "\n"); lines > screen {
		t.Errorf("README.md: %d lines: must be at most %d", lines, screen)
	}
	try, undo, _ := strings.Cut(text, "## Undo\n```sh\n")
	if !strings.HasPrefix(text, "# ") || !strings.Contains(try, "## What you will see\n") {
		t.Error("README.md: no title, or no \"What you will see\"")
	}
	before, then, _ := strings.Cut(try, "## Try it\n```sh\nkubectl apply -k "+dir+"\n")
	if then == "" || strings.Contains(before, "```") {
		t.Errorf("README.md: the first command is not kubectl apply -k %s", dir)
	}
	then = strings.TrimPrefix(then, "kubectl label namespace $NAMESPACE istio-injection-   # it would take precedence over the revision\n")
	then = strings.TrimPrefix(then, "kubectl rollout restart deployment"+selector+"   # for pods that are older than the label\n")
	if !strings.HasPrefix(then, rollout+answering) {
		t.Error("README.md: the commands after apply must wait for the pods and the node port")
	}
	if local := "`fleetman up " + map[bool]string{true: "--mesh "}[objects.NeedsMesh()] + dir + "`"; !strings.Contains(try, local) {
		t.Errorf("README.md: no %s", local)
	}
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
	if !strings.HasSuffix(commands, want) {
		t.Errorf("README.md: Undo does not end with %q", want)
	}
	for _, command := range []string{"kubectl delete -f " + dir + "/istio.yaml --ignore-not-found", "kubectl delete -k " + dir + selector + " --ignore-not-found"} {
		if _, err := os.Stat(filepath.Join("../..", dir, "istio.yaml")); err != nil && strings.Contains(command, "istio.yaml") {
			continue
		}
		if !strings.Contains(commands, command) {
			t.Errorf("README.md: Undo has no %s", command)
		}
	}
	// apply restores the variables of the manifests, and keeps others
	for _, set := range setEnv.FindAllStringSubmatch(try, -1) {
		for _, target := range strings.Fields(set[1]) {
			d, _ := strings.CutPrefix(target, "deployment/")
			if !sets(objects, d, set[2]) && !strings.Contains(undo, "kubectl set env "+target+" "+set[2]+"-") {
				t.Errorf("README.md: %s of %s is set, and Undo does not unset it", set[2], target)
			}
		}
	}
}

// sets reports whether the manifests set a Deployment's variable.
func sets(objects *manifest.Objects, deployment, variable string) bool {
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
		if caught != test.caught {
			t.Errorf("%q: caught %t, want %t", test.command, caught, test.caught)
		}
	}
}
