package manifest

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

func TestDecode(t *testing.T) {
	objects, err := Decode("two.yaml", []byte(`# a comment alone is no object
---
apiVersion: v1
kind: Service
metadata: {name: tracker, namespace: fleet}
spec: {ports: [{port: 8080}]}
---
apiVersion: networking.istio.io/v1alpha3
kind: Gateway
metadata: {name: door}
spec: {anything: [goes, here]}
---
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: ServiceAccount, metadata: {name: tracker}}
  - {apiVersion: v1, kind: Namespace, metadata: {name: fleet}}
`))
	if err != nil {
		t.Fatal(err)
	}
	var refs []string
	for _, object := range objects {
		refs = append(refs, object.Ref())
	}
	if got, want := strings.Join(refs, ", "), "Service fleet/tracker, Gateway door, ServiceAccount tracker, Namespace fleet"; got != want {
		t.Errorf("objects %s, want %s", got, want)
	}
	if service, ok := objects[0].Typed.(*corev1.Service); !ok || service.Spec.Ports[0].Port != 8080 {
		t.Errorf("the Service is %#v", objects[0].Typed)
	}
	if gateway := objects[1]; gateway.Typed != nil || !strings.Contains(string(gateway.JSON), `"anything":["goes","here"]`) || gateway.Namespace != "default" {
		t.Errorf("the Gateway is %+v, JSON %s", gateway, gateway.JSON)
	}
	if namespace := objects[3]; namespace.Namespace != "" {
		t.Errorf("a Namespace lives in namespace %q", namespace.Namespace)
	}
}

func TestDecodeBadInput(t *testing.T) {
	const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: staff}
`
	for _, test := range []struct{ name, text, want string }{
		{"a misspelt field", deployment + "spec: {replica: 2}", `x.yaml: Deployment staff: unknown field "spec.replica"`},
		{
			"a misspelt field deep inside", deployment + "spec: {template: {spec: {containers: [{imagee: a}]}}}",
			`x.yaml: Deployment staff: unknown field "spec.template.spec.containers[0].imagee"`,
		},
		{"a wrong type", deployment + "spec: {replicas: many}", "x.yaml: Deployment staff: spec.replicas: a number is expected, found a string"},
		{"half a replica", deployment + "spec: {replicas: 1.5}", "x.yaml: Deployment staff: spec.replicas: an int32 is expected, found 1.5"},
		{"a list for an object", deployment + "spec: []", "x.yaml: Deployment staff: spec: an object is expected, found a list"},
		{"a word for a list", deployment + "spec: {template: {spec: {containers: true}}}", "x.yaml: Deployment staff: spec.template.spec.containers: a list is expected, found true or false"},
		{"a number for a name", "apiVersion: v1\nkind: Service\nmetadata: {name: 5}", "x.yaml:1: not a Kubernetes object: metadata.name: a string is expected, found a number"},
		{"a kind that Istio does not have", "apiVersion: networking.istio.io/v1\nkind: VirtualServise\nmetadata: {name: a}", "x.yaml: VirtualServise a: kind: no VirtualServise in networking.istio.io/v1; check the spelling and the version"},
		{"a version that Istio does not have", "apiVersion: networking.istio.io/v2\nkind: Gateway\nmetadata: {name: a}", "x.yaml: Gateway a: apiVersion: no Gateway in networking.istio.io/v2; v1, v1beta1, v1alpha3 is expected"},
		{"a field twice", deployment + "kind: Service", `x.yaml: not YAML: line 4: key "kind" already set in map`},
		{"a kind that does not exist", "apiVersion: apps/v1\nkind: Deploiment\nmetadata: {name: a}", "x.yaml: Deploiment a: kind: no Deploiment in apps/v1; check the spelling and the version"},
		{"a version that is gone", "apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: a}", "x.yaml: Deployment a: kind: no Deployment in apps/v1beta1; check the spelling and the version"},
		{"a group that does not exist", "apiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: a}", `x.yaml: Deployment a: apiVersion: no group "extensions" in Kubernetes`},
		{"an apiVersion with two slashes", "apiVersion: a/b/c\nkind: Deployment\nmetadata: {name: a}", `x.yaml:1: apiVersion: "a/b/c"; VERSION or GROUP/VERSION is expected`},
		{"no apiVersion", "kind: Service\nmetadata: {name: a}", "x.yaml:1: apiVersion: missing; every object has one, such as v1 or apps/v1"},
		{"no kind", "apiVersion: v1\nmetadata: {name: a}", "x.yaml:1: kind: missing; every object has one, such as Deployment"},
		{"a kind of two words", "apiVersion: v1\nkind: 'A\n\nb'\nmetadata: {name: a}", `x.yaml:1: kind: "A\nb"; a word such as Deployment is expected`},
		{"no name, in the second document", "---\napiVersion: v1\nkind: Service", "x.yaml:2: Service: metadata.name: missing"},
		{"a name of a strange form", "apiVersion: v1\nkind: Service\nmetadata: {name: 'A b\n\n/../c'}", `x.yaml:1: Service: metadata.name: "A b\n/../c": lower-case letters, digits, '-' and '.' are expected`},
		{"a strange namespace", "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: ../b}", `x.yaml:1: Service a: metadata.namespace: "../b": lower-case letters, digits, '-' and '.' are expected`},
		{"a list at the top", "- a\n- b", "x.yaml:1: not a Kubernetes object: an object is expected, found a list"},
		{"no YAML", "# first\n---\na: [", "x.yaml: not YAML: yaml: line 3: did not find expected node content"},
		{"a bad item of a List", "apiVersion: v1\nkind: List\nitems: [{kind: a}]", "x.yaml:1: items[0]: apiVersion: missing; every object has one, such as v1 or apps/v1"},
		{"too large", strings.Repeat("#", maxBytes+1), "x.yaml: 4194305 bytes; a manifest has at most 4194304"},
	} {
		t.Run(test.name, func(t *testing.T) {
			objects, err := Decode("x.yaml", []byte(test.text))
			if err == nil {
				t.Fatalf("accepted: %+v", objects)
			}
			if err.Error() != test.want {
				t.Errorf("\n got %q\nwant %q", err, test.want)
			}
		})
	}
}

func TestOf(t *testing.T) {
	objects, err := Decode("x.yaml", []byte(`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"a"}}`))
	if err != nil {
		t.Fatal(err)
	}
	all := &Objects{All: objects}
	if accounts := Of[*corev1.ServiceAccount](all); len(accounts) != 1 || accounts[0].Name != "a" {
		t.Errorf("service accounts %v, want a", accounts)
	}
	if deployments := Of[*appsv1.Deployment](all); len(deployments) != 0 {
		t.Errorf("deployments %v, want none", deployments)
	}
}
