package k8stest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"fleetman.example/lab/manifest"
)

// rule has the fields of Istio's objects that this test uses.
type rule struct {
	Spec struct {
		Host     string   `json:"host"`
		Hosts    []string `json:"hosts"`
		Gateways []string `json:"gateways"`
		ExportTo []string `json:"exportTo"`
		Subsets  []struct {
			Name   string            `json:"name"`
			Labels map[string]string `json:"labels"`
		} `json:"subsets"`
		HTTP []struct {
			Name  string `json:"name"`
			Route []struct {
				Destination destination `json:"destination"`
			} `json:"route"`
			Mirror *destination `json:"mirror"`
		} `json:"http"`
		Selector json.RawMessage `json:"selector"`
		Rules    []struct {
			From []struct {
				Source struct {
					Principals []string `json:"principals"`
				} `json:"source"`
			} `json:"from"`
		} `json:"rules"`
	} `json:"spec"`
}

type destination struct {
	Host   string `json:"host"`
	Subset string `json:"subset"`
	Port   struct {
		Number int32 `json:"number"`
	} `json:"port"`
}

// inventory has the targets of references.
type inventory struct {
	services map[string]*corev1.Service // by full name
	pods     []*appsv1.Deployment
	accounts map[string]bool                         // NAMESPACE/NAME
	subsets  map[string]map[string]map[string]string // labels, by host and name
	external map[string]bool                         // hosts of ServiceEntries
}

// dangling returns a line for each dangling reference. istioctl does not report these.
func dangling(t *testing.T, objects *manifest.Objects) []string {
	t.Helper()
	in := take(t, objects)
	var found []string
	report := func(object manifest.Object, format string, args ...any) {
		found = append(found, object.Ref()+": "+fmt.Sprintf(format, args...))
	}
	heads := map[string]string{}
	for _, object := range objects.All {
		switch typed := object.Typed.(type) {
		case *corev1.Service:
			if len(in.selected(object.Namespace, typed.Spec.Selector)) == 0 {
				report(object, "selects no pod: %v", typed.Spec.Selector)
			}
			for _, port := range typed.Spec.Ports {
				if !strings.HasPrefix(port.Name, "http") && port.AppProtocol == nil {
					report(object, "port %d has no protocol in its name", port.Port)
				}
				for _, d := range in.selected(object.Namespace, typed.Spec.Selector) {
					if !hasPort(d, port.TargetPort.StrVal) {
						report(object, "port %d: Deployment %s has no port %q", port.Port, d.Name, port.TargetPort.StrVal)
					}
				}
			}
		case *policyv1.PodDisruptionBudget:
			if len(in.selected(object.Namespace, typed.Spec.Selector.MatchLabels)) == 0 {
				report(object, "selects no pod")
			}
		case *networkingv1.NetworkPolicy:
			if len(in.selected(object.Namespace, typed.Spec.PodSelector.MatchLabels)) == 0 {
				report(object, "selects no pod")
			}
		case nil:
			for _, line := range in.rule(t, object, heads) {
				report(object, "%s", line)
			}
		}
	}
	return found
}

func take(t *testing.T, objects *manifest.Objects) *inventory {
	t.Helper()
	in := &inventory{services: map[string]*corev1.Service{}, accounts: map[string]bool{}, subsets: map[string]map[string]map[string]string{}, external: map[string]bool{}}
	for _, object := range objects.All {
		switch typed := object.Typed.(type) {
		case *corev1.Service:
			in.services[object.Name+"."+object.Namespace+".svc.cluster.local"] = typed
		case *appsv1.Deployment:
			in.pods = append(in.pods, typed)
		case *corev1.ServiceAccount:
			in.accounts[object.Namespace+"/"+object.Name] = true
		case nil:
			r := parse(t, object)
			for _, subset := range r.Spec.Subsets {
				if in.subsets[r.Spec.Host] == nil {
					in.subsets[r.Spec.Host] = map[string]map[string]string{}
				}
				in.subsets[r.Spec.Host][subset.Name] = subset.Labels
			}
			if object.Kind == "ServiceEntry" {
				for _, host := range r.Spec.Hosts {
					in.external[host] = true
				}
			}
		}
	}
	return in
}

func parse(t *testing.T, object manifest.Object) (r rule) {
	t.Helper()
	require.NoError(t, json.Unmarshal(object.JSON, &r), object.Ref())
	return r
}

func (in *inventory) selected(namespace string, selector map[string]string) (found []*appsv1.Deployment) {
	for _, d := range in.pods {
		if cmp.Or(d.Namespace, manifest.DefaultNamespace) == namespace && labels.SelectorFromSet(selector).Matches(labels.Set(d.Spec.Template.Labels)) {
			found = append(found, d)
		}
	}
	return found
}

func hasPort(d *appsv1.Deployment, name string) bool {
	return slices.ContainsFunc(d.Spec.Template.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == name })
}

// rule returns the dangling references of one of Istio's objects. heads has the hosts of earlier VirtualServices
// and DestinationRules.
func (in *inventory) rule(t *testing.T, object manifest.Object, heads map[string]string) (found []string) {
	t.Helper()
	r := parse(t, object)
	switch object.Kind {
	case "VirtualService", "DestinationRule":
		hosts := r.Spec.Hosts
		if object.Kind == "DestinationRule" {
			hosts = []string{r.Spec.Host}
		}
		for _, host := range hosts {
			key := object.Kind + " " + host
			if other := heads[key]; other != "" {
				found = append(found, fmt.Sprintf("host %s is %s's already", host, other))
			}
			heads[key] = object.Name
			if len(r.Spec.Gateways) == 0 && !in.isHost(host) {
				found = append(found, "no Service "+host)
			}
		}
		for name, selector := range in.subsets[r.Spec.Host] {
			if s := in.services[r.Spec.Host]; s != nil && len(in.selected("default", labels.Merge(s.Spec.Selector, selector))) == 0 {
				found = append(found, fmt.Sprintf("subset %s selects no pod: %v", name, selector))
			}
		}
	case "AuthorizationPolicy":
		var selector metav1.LabelSelector
		if err := json.Unmarshal(r.Spec.Selector, &selector); err != nil || len(in.selected(object.Namespace, selector.MatchLabels)) == 0 {
			found = append(found, "selects no pod")
		}
		for _, rule := range r.Spec.Rules {
			for _, from := range rule.From {
				for _, principal := range from.Source.Principals {
					parts := strings.Split(principal, "/")
					if len(parts) != 5 || !in.accounts[parts[2]+"/"+parts[4]] {
						found = append(found, "no service account of "+principal)
					}
				}
			}
		}
	}
	for _, route := range r.Spec.HTTP {
		if route.Name == "" {
			found = append(found, "a route without a name")
		}
		targets := []destination{}
		for _, d := range route.Route {
			targets = append(targets, d.Destination)
		}
		if route.Mirror != nil {
			targets = append(targets, *route.Mirror)
		}
		for _, d := range targets {
			found = append(found, in.destination(d)...)
		}
	}
	return found
}

// isHost reports whether a host, or one that a wildcard stands for, is that of a Service or ServiceEntry.
func (in *inventory) isHost(host string) bool {
	if in.services[host] != nil || in.external[host] {
		return true
	}
	domain, wild := strings.CutPrefix(host, "*")
	for name := range in.services {
		if wild && strings.HasSuffix(name, domain) {
			return true
		}
	}
	return false
}

func (in *inventory) destination(d destination) (found []string) {
	service := in.services[d.Host]
	if service == nil {
		return []string{"no Service " + d.Host}
	}
	if !slices.ContainsFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == d.Port.Number }) {
		found = append(found, fmt.Sprintf("Service %s has no port %d", service.Name, d.Port.Number))
	}
	if _, known := in.subsets[d.Host][d.Subset]; d.Subset != "" && !known {
		found = append(found, fmt.Sprintf("no subset %s of %s", d.Subset, d.Host))
	}
	return found
}

// intended has what is found in scenarios that show a mistake.
var intended = map[string][]string{
	"gateway-conflict": {"VirtualService page: host fleetman.localhost is experiment's already"},
}

func TestReferences(t *testing.T) {
	for _, name := range scenarios(t) {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, intended[name], dangling(t, load(t, filepath.Join(k8s, "scenarios", name))))
		})
	}
}

// TestDangling checks that dangling finds references of Istio's objects.
func TestDangling(t *testing.T) {
	for _, test := range []struct {
		name, scenario, old, replacement, want string
	}{
		{"a missing subset", "canary-weighted", `"subset":"risky"`, `"subset":"riskier"`, "VirtualService fleetman-staff-service: no subset riskier of fleetman-staff-service.default.svc.cluster.local"},
		{"a subset that selects nothing", "dark-release", `"labels":{"version":"risky"}`, `"labels":{"version":"riskier"}`, "DestinationRule fleetman-staff-service: subset risky selects no pod: map[version:riskier]"},
		{"a rule for nobody", "fault-delay", `"hosts":["fleetman-staff-service.`, `"hosts":["fleetman-stuff-service.`, "VirtualService fleetman-staff-service: no Service fleetman-stuff-service.default.svc.cluster.local"},
		{"a rule for all hosts of another domain", "circuit-breaking-everywhere", `"*.local"`, `"*.locale"`, "DestinationRule istio-system/fleetman-everywhere: no Service *.locale"},
		{"a route to nowhere", "canary-prefix", `"host":"fleetman-webapp.default.`, `"host":"fleetman-web.default.`, "VirtualService fleetman-webapp: no Service fleetman-web.default.svc.cluster.local"},
		{"a wrong port", "fault-delay", `"number":8080`, `"number":8081`, "VirtualService fleetman-staff-service: Service fleetman-staff-service has no port 8081"},
		{"a mirror at a wrong port", "mirroring", `"port":{"number":8080},"subset":"risky"}`, `"port":{"number":80},"subset":"risky"}`, "VirtualService fleetman-staff-service: Service fleetman-staff-service has no port 80"},
		{"two VirtualServices of one host", "canary-subdomain", `"hosts":["*.fleetman.localhost"],"http"`, `"hosts":["fleetman.localhost"],"http"`, "VirtualService fleetman-webapp-experimental: host fleetman.localhost is fleetman-webapp's already"},
		{"a policy for nobody", "authorization", `"app":"staff-service"}}`, `"app":"stuff-service"}}`, "AuthorizationPolicy staff-service: selects no pod"},
		{"a principal that is not there", "authorization", `/sa/api-gateway"`, `/sa/gateway"`, "AuthorizationPolicy staff-service: no service account of cluster.local/ns/default/sa/gateway"},
	} {
		t.Run(test.name, func(t *testing.T) {
			objects := breakRule(t, test.scenario, test.old, test.replacement)
			assert.Equal(t, []string{test.want}, dangling(t, objects))
		})
	}
}

// TestDanglingPods checks that dangling finds references of Kubernetes's own objects.
func TestDanglingPods(t *testing.T) {
	root := copyOf(t)
	for _, test := range []struct {
		object, old, replacement, want string
	}{
		{"Service fleetman-webapp", `"name":"http"`, `"name":"page"`, "port 80 has no protocol in its name"},
		{"Service fleetman-webapp", `"name":"http",`, "", "port 80 has no protocol in its name"},
		{"Service fleetman-webapp", `"targetPort":"http"`, `"targetPort":"page"`, `port 80: Deployment webapp has no port "page"`},
		{"Service fleetman-webapp", `"selector":{"app":"webapp"}`, `"selector":{"app":"web"}`, "selects no pod: map[app:web]"},
		{"PodDisruptionBudget staff-service", `"matchLabels":{"app":"staff-service"}`, `"matchLabels":{"app":"stuff-service"}`, "selects no pod"},
		{"NetworkPolicy fleetman-staff-service", `"podSelector":{"matchLabels":{"app":"staff-service"}}`, `"podSelector":{"matchLabels":{"app":"stuff-service"}}`, "selects no pod"},
	} {
		t.Run(test.object+" "+test.old, func(t *testing.T) {
			objects := with(t, root, "network-policies")
			i := slices.IndexFunc(objects.All, func(o manifest.Object) bool { return o.Ref() == test.object })
			text := string(objects.All[i].JSON)
			require.Equal(t, 1, strings.Count(text, test.old), "%s in %s", test.old, text)
			changed, err := manifest.Decode("changed.json", []byte(strings.Replace(text, test.old, test.replacement, 1)))
			require.NoError(t, err)
			objects.All[i] = changed[0]
			assert.Equal(t, []string{test.object + ": " + test.want}, dangling(t, objects))
		})
	}
}

// breakRule returns the scenario with the text replaced in the first Istio object that has it.
func breakRule(t *testing.T, name, old, replacement string) *manifest.Objects {
	t.Helper()
	objects := load(t, filepath.Join(k8s, "scenarios", name))
	for i, object := range objects.All {
		if object.Typed == nil && strings.Contains(string(object.JSON), old) {
			objects.All[i].JSON = []byte(strings.Replace(string(object.JSON), old, replacement, 1))
			return objects
		}
	}
	t.Fatalf("no rule of %s has %s", name, old)
	return nil
}
