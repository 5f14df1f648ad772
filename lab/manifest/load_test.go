package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	service    = "apiVersion: v1\nkind: Service\nmetadata: {name: staff}\nspec: {ports: [{port: 8080}]}\n"
	deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: staff}
spec:
  selector: {matchLabels: {app: staff}}
  template:
    metadata: {labels: {app: staff}}
    spec: {containers: [{name: staff, image: fleetman/staff-service:6}]}
`
	component = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
)

// write makes files below a new directory and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func names(objects *Objects) string {
	var refs []string
	for _, object := range objects.All {
		refs = append(refs, object.Ref())
	}
	return strings.Join(refs, ", ")
}

func TestLoad(t *testing.T) {
	plain := write(t, map[string]string{"a.yaml": service, "b.yml": deployment, "README.md": "no: [manifest", "sub/c.yaml": "no: [manifest"})
	kustomized := write(t, map[string]string{
		"kustomization.yaml": "resources: [a.yaml]\nnamePrefix: fleetman-\n", "a.yaml": service, "b.yaml": "no: [manifest",
	})
	for _, test := range []struct {
		name  string
		paths []string
		want  string
	}{
		{"a directory of plain files", []string{plain}, "Service staff, Deployment staff"},
		{"a kustomization", []string{kustomized}, "Service fleetman-staff"},
		{"files", []string{filepath.Join(plain, "b.yml"), filepath.Join(plain, "a.yaml")}, "Deployment staff, Service staff"},
		{"both", []string{plain, kustomized}, "Service staff, Deployment staff, Service fleetman-staff"},
	} {
		t.Run(test.name, func(t *testing.T) {
			objects, err := Load(test.paths...)
			if err != nil {
				t.Fatal(err)
			}
			if got := names(objects); got != test.want {
				t.Errorf("objects %s, want %s", got, test.want)
			}
		})
	}
}

func TestLoadBadInput(t *testing.T) {
	change := func(text, old, replacement string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("no %q in %s", old, text)
		}
		return strings.Replace(text, old, replacement, 1)
	}
	for _, test := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"nothing there", nil, "DIR: no kustomization.yaml, and no .yaml, .yml or .json file with an object in it"},
		{"two Services of one name", map[string]string{"a.yaml": service, "b.yaml": service}, "DIR/b.yaml: Service staff: there are two of that name, the other in DIR/a.yaml"},
		{"a cyclic kustomization", map[string]string{"kustomization.yaml": "resources: [sub]", "sub/kustomization.yaml": "resources: [..]"}, "DIR/kustomization.yaml: resources: a cycle: DIR → DIR/sub → DIR"},
		{"a typo in a kustomization", map[string]string{"kustomization.yaml": "resource: [a.yaml]", "a.yaml": service}, `DIR/kustomization.yaml: unknown field "resource"`},
		{"a missing resource", map[string]string{"kustomization.yaml": "resources: [b.yaml]"}, "DIR/kustomization.yaml: resources: b.yaml: no such file or directory"},
		{
			"a cycle further in, of components",
			map[string]string{
				"kustomization.yaml":   "resources: [a.yaml]\ncomponents: [b]",
				"b/kustomization.yaml": component + "components: [../c]", "c/kustomization.yaml": component + "components: [../b]", "a.yaml": service,
			},
			"DIR/kustomization.yaml: components: a cycle: DIR → DIR/b → DIR/c → DIR/b",
		},
		{"a kustomization that is no YAML", map[string]string{"kustomization.yaml": "resources: [b]", "b/kustomization.yaml": "resources: ["}, "DIR/b/kustomization.yaml: not YAML: yaml: line 1: did not find expected node content"},
		{"a resource that is no YAML", map[string]string{"kustomization.yaml": "resources: [b]", "b/kustomization.yaml": "resources: [a.yaml]", "b/a.yaml": "a: ["}, "DIR/b/a.yaml: not YAML: yaml: line 1: did not find expected node content"},
		{"a resource without a name", map[string]string{"kustomization.yaml": "resources: [a.yaml]", "a.yaml": "kind: Service"}, "DIR/a.yaml: missing metadata.name"},
		{"two Services of one name in a kustomization", map[string]string{"kustomization.yaml": "resources: [a.yaml, b.yaml]", "a.yaml": service, "b.yaml": service}, "DIR/b.yaml: Service staff: there are two of that name"},
		{"two Services of one name in two kustomizations", map[string]string{"kustomization.yaml": "resources: [a.yaml, b]", "a.yaml": service, "b/kustomization.yaml": "resources: [a.yaml]", "b/a.yaml": service}, "DIR/b/kustomization.yaml: Service staff: there are two of that name"},
		{"a component that is not there", map[string]string{"kustomization.yaml": "resources: [a.yaml]\ncomponents: [b]", "a.yaml": service}, "DIR/kustomization.yaml: components: DIR/b: no such file or directory"},
		{"a component that is none", map[string]string{"kustomization.yaml": "resources: [a.yaml]\ncomponents: [b]", "a.yaml": service, "b/kustomization.yaml": "resources: []"}, "DIR/kustomization.yaml: components: DIR/b: a Component is expected, found a Kustomization"},
		{
			"a component without the one that it needs",
			map[string]string{"kustomization.yaml": "resources: [a.yaml]\ncomponents: [b]", "a.yaml": service, "b/kustomization.yaml": component + "configMapGenerator: [{name: c, behavior: merge, literals: [A=1]}]"},
			"DIR/b/kustomization.yaml: no ConfigMap c to merge with; the component that makes it is missing, or stands after this one",
		},
		{"a patch that is not there", map[string]string{"kustomization.yaml": "resources: [a.yaml]\npatches: [{path: b.yaml}]", "a.yaml": service}, "DIR/kustomization.yaml: patches: b.yaml: no such file or directory"},
		{"a patch of nothing", map[string]string{"kustomization.yaml": "resources: [a.yaml]\npatches: [{path: b.yaml}]", "a.yaml": service, "b.yaml": deployment}, "DIR/kustomization.yaml: patches: no Deployment staff to change"},
		{"a patch that is none", map[string]string{"kustomization.yaml": "resources: [a.yaml]\npatches: [{patch: 'a: b'}]", "a.yaml": service}, `DIR/kustomization.yaml: patches: unable to parse SM or JSON patch from [patch: "a: b"]`},
		{"a file of variables that is not there", map[string]string{"kustomization.yaml": "configMapGenerator: [{name: a, envs: [b.env]}]"}, "DIR/kustomization.yaml: loading KV pairs: env source files: [b.env]: no such file or directory"},
		{"a typo behind a kustomization", map[string]string{"kustomization.yaml": "resources: [a.yaml]", "a.yaml": change(service, "ports", "prots")}, `DIR: Service staff: unknown field "spec.prots"`},
		{"a port of nowhere", map[string]string{"a.yaml": change(service, "8080", "80800")}, "DIR/a.yaml: Service staff: spec.ports[0].port: 80800; 1 to 65535 is expected"},
		{"a targetPort of nowhere", map[string]string{"a.yaml": change(service, "8080", "8080, targetPort: -1")}, "DIR/a.yaml: Service staff: spec.ports[0].targetPort: -1; 1 to 65535, or a port's name, is expected"},
		{"no ports", map[string]string{"a.yaml": change(service, "{port: 8080}", "")}, "DIR/a.yaml: Service staff: spec.ports: empty; one at least is expected"},
		{"a nodePort without its type", map[string]string{"a.yaml": change(service, "8080", "8080, nodePort: 30080")}, "DIR/a.yaml: Service staff: spec.ports[0].nodePort: 30080, but spec.type is not NodePort"},
		{"ports without names", map[string]string{"a.yaml": change(service, "{port: 8080}", "{port: 8080}, {port: 8081, name: b}")}, "DIR/a.yaml: Service staff: spec.ports[0].name: missing; of several ports each has a name"},
		{"ports of one name", map[string]string{"a.yaml": change(service, "{port: 8080}", "{port: 8080, name: b}, {port: 8081, name: b}")}, `DIR/a.yaml: Service staff: spec.ports[1].name: there are two ports "b"`},
		{
			"a nodePort twice",
			map[string]string{
				"a.yaml": change(service, "spec: {ports: [{port: 8080", "spec: {type: NodePort, ports: [{nodePort: 30080, port: 8080"),
				"b.yaml": change(change(service, "spec: {ports: [{port: 8080", "spec: {type: NodePort, ports: [{nodePort: 30080, port: 8080"), "staff", "tracker"),
			},
			"DIR/b.yaml: Service tracker: spec.ports: nodePort 30080 is Service staff's already",
		},
		{"an unknown protocol of a Service", map[string]string{"a.yaml": change(service, "8080", "8080, protocol: TPC")}, `DIR/a.yaml: Service staff: spec.ports[0].protocol: "TPC"; TCP, UDP, SCTP is expected`},
		{"an unknown type of a Service", map[string]string{"a.yaml": change(service, "spec: {", "spec: {type: NodePorts, ")}, `DIR/a.yaml: Service staff: spec.type: "NodePorts"; ClusterIP, NodePort, LoadBalancer, ExternalName is expected`},
		{"an unknown protocol of a container", map[string]string{"a.yaml": change(deployment, "image:", "ports: [{containerPort: 1, protocol: tcp}], image:")}, `DIR/a.yaml: Deployment staff: spec.template.spec.containers[0].ports[0].protocol: "tcp"; TCP, UDP, SCTP is expected`},
		{"an unknown pull policy", map[string]string{"a.yaml": change(deployment, "image:", "imagePullPolicy: IfMissing, image:")}, `DIR/a.yaml: Deployment staff: spec.template.spec.containers[0].imagePullPolicy: "IfMissing"; Always, IfNotPresent, Never is expected`},
		{"an unknown restart policy", map[string]string{"a.yaml": change(deployment, "containers:", "restartPolicy: Sometimes, containers:")}, `DIR/a.yaml: Deployment staff: spec.template.spec.restartPolicy: "Sometimes"; Always is expected`},
		{"an unknown strategy", map[string]string{"a.yaml": change(deployment, "selector:", "strategy: {type: Rolling}\n  selector:")}, `DIR/a.yaml: Deployment staff: spec.strategy.type: "Rolling"; RollingUpdate, Recreate is expected`},
		{"negative replicas", map[string]string{"a.yaml": change(deployment, "selector:", "replicas: -1\n  selector:")}, "DIR/a.yaml: Deployment staff: spec.replicas: -1; 0 or more is expected"},
		{"a selector that misses", map[string]string{"a.yaml": change(deployment, "labels: {app: staff}", "labels: {app: other}")}, `DIR/a.yaml: Deployment staff: spec.selector: "app=staff" does not select the labels of spec.template, "app=other"`},
		{"no selector", map[string]string{"a.yaml": change(deployment, "selector: {matchLabels: {app: staff}}", "")}, "DIR/a.yaml: Deployment staff: spec.selector: missing"},
		{"no container", map[string]string{"a.yaml": change(deployment, "{name: staff, image: fleetman/staff-service:6}", "")}, "DIR/a.yaml: Deployment staff: spec.template.spec.containers: empty; one is expected"},
		{"no image", map[string]string{"a.yaml": change(deployment, ", image: fleetman/staff-service:6", "")}, "DIR/a.yaml: Deployment staff: spec.template.spec.containers[0].image: missing"},
		{"a variable without a name", map[string]string{"a.yaml": change(deployment, "image:", "env: [{name: A=B}], image:")}, `DIR/a.yaml: Deployment staff: spec.template.spec.containers[0].env[0].name: "A=B": a name without '=', and no NUL, is expected`},
		{"a variable with two values", map[string]string{"a.yaml": change(deployment, "image:", "env: [{name: A, value: a, valueFrom: {fieldRef: {fieldPath: metadata.name}}}], image:")}, "DIR/a.yaml: Deployment staff: spec.template.spec.containers[0].env[0]: A has both value and valueFrom"},
		{"a container port of nowhere", map[string]string{"a.yaml": change(deployment, "image:", "ports: [{containerPort: 0}], image:")}, "DIR/a.yaml: Deployment staff: spec.template.spec.containers[0].ports[0].containerPort: 0; 1 to 65535 is expected"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := write(t, test.files)
			objects, err := Load(dir)
			if err == nil {
				t.Fatalf("accepted: %s", names(objects))
			}
			got := strings.ReplaceAll(err.Error(), dir, "DIR")
			if got != test.want {
				t.Errorf("\n got %q\nwant %q", got, test.want)
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); err == nil || !strings.HasPrefix(err.Error(), "reading manifests: stat ") {
		t.Errorf("a path that is not there: %v", err)
	}
}
