// Package k8stest holds k8s/ against what it promises: every scenario and
// every combination of components builds, is read strictly, is accepted by
// istioctl, and changes only as the golden files show.
package k8stest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/scenario"
)

const k8s = "../../k8s"

// scenarios are the directories below k8s/scenarios that can be applied, by
// their path there.
func scenarios(t *testing.T) []string {
	t.Helper()
	root := filepath.Join(k8s, "scenarios")
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == "kustomization.yaml" {
			name, _ := filepath.Rel(root, filepath.Dir(path))
			found = append(found, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

var loaded sync.Map // of *manifest.Objects by path: kustomize takes its time

// load answers a copy whose objects may be replaced.
func load(t *testing.T, path string) *manifest.Objects {
	t.Helper()
	known, ok := loaded.Load(path)
	if !ok {
		objects, err := manifest.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		known, _ = loaded.LoadOrStore(path, objects)
	}
	return &manifest.Objects{All: slices.Clone(known.(*manifest.Objects).All)}
}

// TestTable: one directory for each row of the README's table, and no other.
func TestTable(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(k8s, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range scenarios(t) {
		if !strings.Contains(string(readme), "](scenarios/"+name+")") {
			t.Errorf("k8s/README.md has no row for scenarios/%s", name)
		}
	}
	entries, err := os.ReadDir(filepath.Join(k8s, "components"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !strings.Contains(string(readme), "](components/"+entry.Name()+")") {
			t.Errorf("k8s/README.md has no row for components/%s", entry.Name())
		}
	}
	if sets := fmt.Sprintf("every set, %d of them", len(combinations(true))); !strings.Contains(string(readme), sets) {
		t.Errorf("k8s/README.md does not say %q", sets)
	}
	last := 0
	for _, c := range components {
		at := strings.Index(string(readme), "](components/"+c.name+")")
		if at < last {
			t.Errorf("k8s/README.md: components/%s does not stand where TestVersionsFirst has it", c.name)
		}
		last = at
	}
}

// TestScenarios: each has what a reader needs, and promises that its manifests
// can keep.
func TestScenarios(t *testing.T) {
	all := scenarios(t)
	if len(all) < 22 {
		t.Errorf("%d scenarios, want 22 at least", len(all))
	}
	for _, name := range all {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(k8s, "scenarios", name)
			objects := load(t, dir)
			checkReadme(t, name, filepath.Join(dir, "README.md"), objects)
			expect, err := scenario.Load(filepath.Join(dir, "expect.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			if err := expect.CheckAgainst(objects); err != nil {
				t.Error(err)
			}
			for _, p := range expect.Promises {
				if p.Control.Scenario != "" && !slices.Contains(all, p.Control.Scenario) {
					t.Errorf("%q: its control is the scenario %q, which is not there", p.Promise, p.Control.Scenario)
				}
			}
		})
	}
}

// traps are what readers' commands must not do.
var traps = map[string]*regexp.Regexp{
	"kubectl shows ten lines a pod when it chooses by label: --tail=-1": regexp.MustCompile(`kubectl logs -l (?:[^\n|-]|-[^-]|--[^t])*[|\n]`),
	"a loop without end hides the commands below it":                    regexp.MustCompile(`(?m)^while `),
	"NODE is a variable":                       regexp.MustCompile(`[^$]NODE:`),
	"this starts the pods of others anew, too": regexp.MustCompile("kubectl rollout restart deployment *[\n`#]"),
}

var setEnv = regexp.MustCompile(`kubectl set env ((?:deployment/\S+ )+)(\w+)=`)

func checkReadme(t *testing.T, name, path string, objects *manifest.Objects) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return
	}
	text := string(data)
	apply := "kubectl apply -k k8s/scenarios/" + name + "\n"
	for _, want := range []string{"# ", "## Try it\n", "## What you will see\n", "## Undo\n", apply, "kubectl delete -k k8s/scenarios/" + name} {
		if !strings.Contains(text, want) {
			t.Errorf("README.md: no %q", want)
		}
	}
	if _, then, _ := strings.Cut(text, apply); !strings.HasPrefix(then, "kubectl rollout ") {
		t.Error("README.md: what follows apply does not wait for the pods")
	}
	for why, trap := range traps {
		if found := trap.FindString(text); found != "" {
			t.Errorf("README.md: %q: %s", found, why)
		}
	}
	// apply takes back what the manifests say, and leaves other variables as they are
	try, undo, _ := strings.Cut(text, "## Undo\n")
	for _, set := range setEnv.FindAllStringSubmatch(try, -1) {
		for _, target := range strings.Fields(set[1]) {
			d, _ := strings.CutPrefix(target, "deployment/")
			if !says(objects, d, set[2]) && !strings.Contains(undo, "kubectl set env "+target+" "+set[2]+"-") {
				t.Errorf("README.md: %s of %s is set, and not undone", set[2], target)
			}
		}
	}
}

// says tells whether the manifests set a Deployment's variable.
func says(objects *manifest.Objects, deployment, variable string) bool {
	return slices.ContainsFunc(manifest.Of[*appsv1.Deployment](objects), func(d *appsv1.Deployment) bool {
		return d.Name == deployment && slices.ContainsFunc(d.Spec.Template.Spec.Containers[0].Env, func(e corev1.EnvVar) bool { return e.Name == variable })
	})
}
