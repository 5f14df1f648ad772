package lint

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestMeshed checks which workloads have a proxy: those of manifests without their namespace have one if any object
// needs a mesh, unless some of them ask for one themselves. manifest.InjectedBy has all of the rules.
func TestMeshed(t *testing.T) {
	const rule = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: default}\n---\n"
	pods := func(kind, name, metadata string) string {
		return "apiVersion: apps/v1\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec: {selector: {matchLabels: {app: a}}, template: {metadata: {" +
			metadata + "}, spec: {containers: [{name: c, image: i}]}}}\n---\n"
	}
	namespace := func(label string) string {
		return "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {" + label + "}}\n---\n"
	}
	const none, revision = "labels: {app: a}", "labels: {app: a, istio.io/rev: next}"
	for _, test := range []struct {
		name, text string
		want       map[string]bool
	}{
		{"no mesh", pods("Deployment", "a", none), map[string]bool{"a": false}},
		{"a rule", rule + pods("Deployment", "a", none), map[string]bool{"a": true}},
		{"an annotation", rule + pods("StatefulSet", "a", "annotations: {sidecar.istio.io/inject: 'no'}"), map[string]bool{"a": false}},
		{"a pod's revision", pods("Deployment", "a", revision) + pods("Deployment", "b", none), map[string]bool{"a": true, "b": false}},
		{"that of another kind", rule + pods("StatefulSet", "a", revision) + pods("DaemonSet", "b", none), map[string]bool{"a": true, "b": false}},
		{"a namespace without injection", namespace("") + rule + pods("StatefulSet", "a", none) + pods("Deployment", "b", revision), map[string]bool{"a": false, "b": true}},
		{"a namespace's revision", namespace("istio.io/rev: next") + pods("StatefulSet", "a", none), map[string]bool{"a": true}},
		{"an injection that is disabled", namespace("istio-injection: disabled, istio.io/rev: next") + rule + pods("Deployment", "a", revision), map[string]bool{"a": false}},
	} {
		got := map[string]bool{}
		for _, w := range newModel(load(t, write(t, test.text)).Objects, nil).workloads {
			got[w.name] = w.meshed
		}
		assert.Equal(t, test.want, got, test.name)
	}
}
