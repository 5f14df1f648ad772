package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

func TestDecode(t *testing.T) {
	all := decode(t, `# a comment alone is no object
---
apiVersion: v1
kind: Service
metadata: {name: tracker, namespace: fleet}
spec: {ports: [{port: 8080}]}
---
apiVersion: networking.istio.io/v1alpha3
kind: Gateway
metadata: {name: entry}
spec: {anything: [goes, here]}
---
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: ServiceAccount, metadata: {name: tracker}}
  - {apiVersion: v1, kind: Namespace, metadata: {name: fleet}}
`)
	objects := all.All
	assert.Equal(t, "Service fleet/tracker, Gateway entry, ServiceAccount tracker, Namespace fleet", names(all))
	service, ok := objects[0].Typed.(*corev1.Service)
	assert.True(t, ok && service.Spec.Ports[0].Port == 8080, "the Service is %#v", objects[0].Typed)
	gateway := objects[1]
	assert.True(t, gateway.Typed == nil && gateway.Namespace == "default", "the Gateway is %+v", gateway)
	assert.Contains(t, string(gateway.JSON), `"anything":["goes","here"]`)
	assert.Empty(t, objects[3].Namespace, "namespace of a Namespace")
}

// aliasBomb is a ConfigMap of 9^9 values in 400 bytes.
var aliasBomb = func() string {
	text := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	for i := range 8 {
		text += fmt.Sprintf("  a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), ", "))
	}
	return text
}()

// TestDecodeSeparators: no object is lost behind a line that separates documents.
func TestDecodeSeparators(t *testing.T) {
	account := func(name string) string {
		return "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: " + name + "}\n"
	}
	for name, text := range map[string]string{
		"a comment":           account("a") + "--- # the Service\n" + account("b"),
		"a tab and a comment": account("a") + "---\t# the Service\n" + account("b"),
		"spaces":              account("a") + "---   \n" + account("b"),
		"carriage returns":    strings.ReplaceAll(account("a")+"---\n"+account("b"), "\n", "\r\n"),
		"no final newline":    account("a") + "---\n" + strings.TrimSuffix(account("b"), "\n"),
		"an end of document":  account("a") + "...\n---\n" + account("b") + "...\n# the end\n",
		"a typed List":        "apiVersion: v1\nkind: ServiceAccountList\nitems:\n- {apiVersion: v1, kind: ServiceAccount, metadata: {name: a}}\n- {apiVersion: v1, kind: ServiceAccount, metadata: {name: b}}\n",
	} {
		assert.Equal(t, "ServiceAccount a, ServiceAccount b", names(decode(t, text)), name)
	}
}

// TestDecodeLeftOut: what an installation of Istio consists of is left out, in
// whatever version, and the mesh's own rules are not.
func TestDecodeLeftOut(t *testing.T) {
	for text, want := range map[string]string{
		"apiVersion: policy/v1beta1\nkind: PodDisruptionBudget\nmetadata: {name: istio-galley, namespace: istio-system}":                                                         Installation,
		"apiVersion: apiextensions.k8s.io/v1beta1\nkind: CustomResourceDefinition\nmetadata: {name: gateways.networking.istio.io}":                                               Installation,
		"apiVersion: rbac.authorization.k8s.io/v1beta1\nkind: ClusterRole\nmetadata: {name: 'istio:reader'}":                                                                     Installation,
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: istio-system}":                                                                                                        Installation,
		"apiVersion: monitoring.kiali.io/v1alpha1\nkind: MonitoringDashboard\nmetadata: {name: go}":                                                                              Installation,
		"apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: stats-filter-1.8, namespace: istio-system, labels: {operator.istio.io/component: Pilot}}": Installation,
		"apiVersion: authentication.istio.io/v1alpha1\nkind: MeshPolicy\nmetadata: {name: default, labels: {release: istio, heritage: Tiller}}":                                  Installation,
		"apiVersion: authentication.istio.io/v1alpha1\nkind: MeshPolicy\nmetadata: {name: default}":                                                                              FormerIstio,
		"apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: istio-system}":                                                         "",
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {istio-injection: enabled}}":                                                                         "",
		"apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: reader}":                                                                                         "",
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}":                                                                                      Installation,
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fleetman-mesh, namespace: istio-system}":                                                                              "",
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, labels: {release: istio}}":                                                                                  "",
	} {
		objects, err := Decode("x.yaml", []byte(text))
		require.NoError(t, err)
		require.Len(t, objects, 1, text)
		assert.Equal(t, want, objects[0].LeftOut, text)
	}
}

func TestDecodeBadInput(t *testing.T) {
	const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: staff}
`
	const ofIstio = "apiVersion: networking.istio.io/v1\nkind: "
	for _, test := range []struct{ name, text, want string }{
		{"a misspelt field", deployment + "spec: {replica: 2}", `x.yaml: Deployment staff: unknown field "spec.replica"`},
		{
			"a misspelt field deep inside", deployment + "spec: {template: {spec: {containers: [{imagee: a}]}}}",
			`x.yaml: Deployment staff: unknown field "spec.template.spec.containers[0].imagee"`,
		},
		{"a wrong type", deployment + "spec: {replicas: many}", "x.yaml: Deployment staff: spec.replicas: a string: must be a number"},
		{"half a replica", deployment + "spec: {replicas: 1.5}", "x.yaml: Deployment staff: spec.replicas: 1.5: must be an int32"},
		{"a list for an object", deployment + "spec: []", "x.yaml: Deployment staff: spec: a list: must be an object"},
		{"a word for a list", deployment + "spec: {template: {spec: {containers: true}}}", "x.yaml: Deployment staff: spec.template.spec.containers: true or false: must be a list"},
		{"a number for a name", "apiVersion: v1\nkind: Service\nmetadata: {name: 5}", "x.yaml:1: not a Kubernetes object: metadata.name: a number: must be a string"},
		{"a kind that Istio does not have", "apiVersion: networking.istio.io/v1\nkind: VirtualServise\nmetadata: {name: a}", "x.yaml: VirtualServise a: kind: VirtualServise: must be a kind of networking.istio.io/v1"},
		{"a version that Istio does not have", "apiVersion: networking.istio.io/v2\nkind: Gateway\nmetadata: {name: a}", "x.yaml: Gateway a: apiVersion: networking.istio.io/v2: must be of version v1, v1beta1, v1alpha3"},
		{"a string for a route", ofIstio + "VirtualService\nmetadata: {name: a}\nspec: {http: [{route: [{}, b]}]}", "x.yaml: VirtualService a: spec.http[0].route[1]: a string: must be an object"},
		{"a list for a rule", ofIstio + "DestinationRule\nmetadata: {name: a}\nspec: {subsets: [{}, []]}", "x.yaml: DestinationRule a: spec.subsets[1]: a list: must be an object"},
		{"an object for a list of objects", ofIstio + "DestinationRule\nmetadata: {name: a}\nspec: {trafficPolicy: {portLevelSettings: {port: 80}}}", "x.yaml: DestinationRule a: spec.trafficPolicy.portLevelSettings: an object: must be a list"},
		{"a number for the parent of a list", ofIstio + "DestinationRule\nmetadata: {name: a}\nspec: {subsets: [{trafficPolicy: 5}]}", "x.yaml: DestinationRule a: spec.subsets[0].trafficPolicy: a number: must be an object"},
		{"a list for spec", ofIstio + "Gateway\nmetadata: {name: a}\nspec: []", "x.yaml: Gateway a: spec: a list: must be an object"},
		{"a null in a list of Gateway API", "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: a}\nspec: {parentRefs: [null]}", "x.yaml: HTTPRoute a: spec.parentRefs[0]: null: must be an object"},
		{"a field twice", deployment + "kind: Service", `x.yaml: not YAML: line 4: key "kind" already set in map`},
		{"a kind that does not exist", "apiVersion: apps/v1\nkind: Deploiment\nmetadata: {name: a}", "x.yaml: Deploiment a: kind: Deploiment: must be a kind of apps/v1"},
		{"a version that is gone", "apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: a}", "x.yaml: Deployment a: kind: Deployment: must be a kind of apps/v1beta1"},
		{"a group that does not exist", "apiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: a}", `x.yaml: Deployment a: apiVersion: "extensions": must be a group of Kubernetes, or a domain name`},
		{"an apiVersion with two slashes", "apiVersion: a/b/c\nkind: Deployment\nmetadata: {name: a}", `x.yaml:1: apiVersion: "a/b/c": must be VERSION or GROUP/VERSION`},
		{"no apiVersion", "kind: Service\nmetadata: {name: a}", "x.yaml:1: apiVersion: missing: must be such as v1 or apps/v1"},
		{"no kind", "apiVersion: v1\nmetadata: {name: a}", "x.yaml:1: kind: missing: must be such as Deployment"},
		{"a kind of two words", "apiVersion: v1\nkind: 'A\n\nb'\nmetadata: {name: a}", `x.yaml:1: kind: "A\nb": must be a word such as Deployment`},
		{"no name, in the second document", "---\napiVersion: v1\nkind: Service", "x.yaml:2: Service: metadata.name: missing"},
		{"a name of a strange form", "apiVersion: v1\nkind: Service\nmetadata: {name: 'A b\n\n/../c'}", `x.yaml:1: Service: metadata.name: "A b\n/../c": must be lower-case letters, digits, '-' and '.'`},
		{"a strange namespace", "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: ../b}", `x.yaml:1: Service a: metadata.namespace: "../b": must be lower-case letters, digits, '-' and '.'`},
		{"a list at the top", "- a\n- b", "x.yaml:1: not a Kubernetes object: a list: must be an object"},
		{"a tab", "# first\n---\nkind: Pod\nmetadata:\n\tname: a\n", "x.yaml:5: a tab in the indentation: must be spaces"},
		{"no YAML", "# first\n---\na: [", "x.yaml: not YAML: yaml: line 3: did not find expected node content"},
		{"a bad item of a List", "apiVersion: v1\nkind: List\nitems: [{kind: a}]", "x.yaml:1: items[0]: apiVersion: missing: must be such as v1 or apps/v1"},
		{"text after ---", "a: b\n--- c: d\n", `x.yaml:2: "c: d" after ---: must be a comment, or on the next line`},
		{"four dashes", "----\n" + deployment, `x.yaml:1: "-" after ---: must be a comment, or on the next line`},
		{"a document after the end of another", deployment + "...\n" + deployment, "x.yaml:4: a second document after the end of this one: must come after a line with ---"},
		{"a document after carriage returns", "a: b\r---\rc: d\r", "x.yaml:2: a second document after the end of this one: must come after a line with ---"},
		{"two JSON objects", `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"a"}}` + "\n" + `{"apiVersion":"v1"}`, "x.yaml:1: a second document after the end of this one: must come after a line with ---"},
		{"two JSON objects in the third document", "---\n---\n{}{}", "x.yaml:3: a second document after the end of this one: must come after a line with ---"},
		{"aliases of aliases", aliasBomb, "x.yaml:1: more than 1000000 values, with aliases: must be fewer"},
		{"an alias in itself", "a: &a [*a]", "x.yaml:1: more than 1000000 values, with aliases: must be fewer"},
		{"a field of another case", "apiVersion: v1\nKind: Service\nmetadata: {name: a}", "x.yaml:1: kind: missing: must be such as Deployment"},
		{"too large", strings.Repeat("#", maxBytes+1), "x.yaml: 4194305 bytes: must be at most 4194304"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Decode("x.yaml", []byte(test.text))
			require.EqualError(t, err, test.want)
		})
	}
}

func TestOf(t *testing.T) {
	all := decode(t, `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"a"}}`)
	accounts := Of[*corev1.ServiceAccount](all)
	require.Len(t, accounts, 1)
	assert.Equal(t, "a", accounts[0].Name)
	assert.Empty(t, Of[*appsv1.Deployment](all), "deployments")
}
