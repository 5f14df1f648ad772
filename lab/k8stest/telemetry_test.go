package k8stest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/nettest"
)

// telemetry returns the fleet with the component telemetry, including the objects that fleetman up leaves out,
// and those of them that have no namespace.
func telemetry(t *testing.T) (objects *manifest.Objects, wide []manifest.Object) {
	t.Helper()
	objects = with(t, copyOf(t), "telemetry")
	for _, object := range objects.LeftOut {
		if object.LeftOut != manifest.Telemetry {
			t.Fatalf("%s is left out: %s", object.Ref(), object.LeftOut)
		}
		if labelsOf(object)[partOf] != "fleetman" {
			t.Errorf("%s has no label %s", object.Ref(), partOf)
		}
		if strings.HasPrefix(object.Kind, "Cluster") {
			wide = append(wide, object)
			continue
		}
		// without the label by which it is left out
		found, err := manifest.Decode(object.Source, []byte(strings.ReplaceAll(string(object.JSON), `"app.kubernetes.io/component":"telemetry"`, `"left":"in"`)))
		if err != nil || len(found) != 1 || found[0].LeftOut != "" {
			t.Fatalf("%s: %v", object.Ref(), err)
		}
		objects.All = append(objects.All, found[0])
	}
	return objects, wide
}

// in returns the objects of one type in the namespace of the tools, by name.
func in[T interface {
	runtime.Object
	GetName() string
	GetNamespace() string
}](objects *manifest.Objects, namespace string) map[string]T {
	found := map[string]T{}
	for _, o := range manifest.Of[T](objects) {
		if o.GetNamespace() == namespace {
			found[o.GetName()] = o
		}
	}
	return found
}

const observability = "observability"

// TestTelemetryPods checks the pods of the tools: pinned images, the restricted pod security level, which their
// namespace enforces, probes and limits, and volumes whose ConfigMaps exist.
func TestTelemetryPods(t *testing.T) {
	objects, wide := telemetry(t)
	for _, line := range dangling(t, objects) {
		t.Error(line)
	}
	maps := in[*corev1.ConfigMap](objects, observability)
	accounts := in[*corev1.ServiceAccount](objects, observability)
	pods := in[*appsv1.Deployment](objects, observability)
	pinned := regexp.MustCompile(`^[a-z-]+/[a-z-]+:v?[0-9]+\.[0-9]+\.[0-9]+$`)
	for _, name := range []string{"otel-collector", "jaeger", "prometheus", "grafana"} {
		d := pods[name]
		if d == nil {
			t.Errorf("no Deployment %s", name)
			continue
		}
		pod := d.Spec.Template.Spec
		c := pod.Containers[0]
		for what, ok := range map[string]bool{
			"a pinned image":                     pinned.MatchString(c.Image),
			"a service account of the manifests": accounts[pod.ServiceAccountName] != nil,
			"a token for Prometheus alone":       *pod.AutomountServiceAccountToken == (name == "prometheus"),
			"the restricted pod security level":  restricted(pod),
			"a readiness probe at a port":        hasPort(d, c.ReadinessProbe.HTTPGet.Port.StrVal),
			"requests and limits":                !c.Resources.Requests.Cpu().IsZero() && !c.Resources.Limits.Memory().IsZero(),
		} {
			if !ok {
				t.Errorf("Deployment %s: want %s", name, what)
			}
		}
		for _, v := range pod.Volumes {
			if v.ConfigMap == nil {
				continue
			}
			m := maps[v.ConfigMap.Name]
			if m == nil {
				t.Errorf("Deployment %s: no ConfigMap %s", name, v.ConfigMap.Name)
				continue
			}
			for _, item := range v.ConfigMap.Items {
				if m.Data[item.Key] == "" {
					t.Errorf("Deployment %s: ConfigMap %s has no %s", name, v.ConfigMap.Name, item.Key)
				}
			}
		}
	}
	if len(wide) != 2 {
		t.Errorf("%d objects without a namespace, want a ClusterRole and its binding", len(wide))
	}
	for _, object := range wide {
		var role rbacv1.ClusterRole
		require.NoError(t, json.Unmarshal(object.JSON, &role))
		for _, rule := range role.Rules {
			if object.Kind == "ClusterRole" && (!slices.Equal(rule.Resources, []string{"pods"}) || slices.Contains(rule.Verbs, "*")) {
				t.Errorf("Prometheus may %v %v, want to read pods alone", rule.Verbs, rule.Resources)
			}
		}
	}
	// kubectl apply keeps a copy of each object in an annotation, and annotations have at most 256 KiB.
	for name, m := range maps {
		if text, err := json.Marshal(m); err != nil || len(text) > 250<<10 {
			t.Errorf("ConfigMap %s: %d bytes, %v: too large for kubectl apply", name, len(text), err)
		}
	}
}

// TestTelemetryOnOneMachine checks that a fleet with the component starts on this machine, without the tools.
func TestTelemetryOnOneMachine(t *testing.T) {
	objects := with(t, copyOf(t), "telemetry")
	network := nettest.Network(t)
	err := local.CheckStart(objects, local.Options{Bin: fakes(t), State: t.TempDir(), Network: network, NodeAddress: nettest.Node(network)})
	if err != nil {
		t.Error(err)
	}
	if notes := strings.Join(local.LeftOut(objects, false), "\n"); !strings.Contains(notes, manifest.Telemetry) {
		t.Errorf("no note about the tools: %s", notes)
	}
}

// TestTelemetryLinks checks that every address in the configurations is a Service of the manifests with that
// port, and every path one that is mounted.
func TestTelemetryLinks(t *testing.T) {
	objects, _ := telemetry(t)
	services := in[*corev1.Service](objects, observability)
	known := func(address string) bool {
		host, number, _ := strings.Cut(address, ":")
		s := services[strings.TrimSuffix(host, "."+observability+".svc.cluster.local")]
		port, err := strconv.Atoi(number)
		return err == nil && s != nil && slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return int(p.Port) == port })
	}
	data := map[string]string{}
	for name, m := range in[*corev1.ConfigMap](objects, observability) {
		for file, text := range m.Data {
			data[strings.Split(name, "-")[0]+"/"+file] = text
		}
	}
	var collector struct {
		Exporters map[string]struct{ Endpoint string }
		Service   struct {
			Pipelines map[string]struct{ Receivers, Exporters []string }
		}
	}
	parseYAML(t, data["otel/collector-config.yaml"], &collector)
	if to := collector.Exporters["otlp"].Endpoint; !known(to) || len(collector.Service.Pipelines["traces"].Exporters) == 0 {
		t.Errorf("the collector sends to %q: no such Service", to)
	}
	var grafana struct {
		Datasources []struct{ Name, Type, URL string }
	}
	parseYAML(t, data["grafana/datasources.yaml"], &grafana)
	if len(grafana.Datasources) != 2 {
		t.Errorf("Grafana has %d data sources, want 2", len(grafana.Datasources))
	}
	for _, source := range grafana.Datasources {
		if u, err := url.Parse(source.URL); err != nil || !known(u.Host) {
			t.Errorf("data source %s: %s: no such Service", source.Name, source.URL)
		}
	}
	var prometheus struct {
		RuleFiles []string `json:"rule_files"`
	}
	parseYAML(t, data["prometheus/prometheus.yml"], &prometheus)
	pod := in[*appsv1.Deployment](objects, observability)["prometheus"].Spec.Template.Spec
	for _, rules := range prometheus.RuleFiles {
		if !slices.ContainsFunc(pod.Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == filepath.Dir(rules) }) {
			t.Errorf("rule_files: %s is not mounted", rules)
		}
	}
	for _, d := range manifest.Of[*appsv1.Deployment](objects) {
		if d.Namespace == observability {
			continue
		}
		env := map[string]string{}
		for _, e := range d.Spec.Template.Spec.Containers[0].Env {
			env[e.Name] = e.Value
		}
		if u, err := url.Parse(env["OTEL_EXPORTER_OTLP_ENDPOINT"]); err != nil || !known(u.Host) || env["OTEL_METRICS_EXPORTER"] != "none" {
			t.Errorf("Deployment %s sends spans to %q", d.Name, u)
		}
		annotations := d.Spec.Template.Annotations
		at := slices.IndexFunc(d.Spec.Template.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == "admin" })
		if want := fmt.Sprint(d.Spec.Template.Spec.Containers[0].Ports[at].ContainerPort); annotations["prometheus.io/scrape"] != "true" || annotations["prometheus.io/port"] != want || annotations["prometheus.io/path"] != "/metrics" {
			t.Errorf("Deployment %s: annotations %v, want port %s", d.Name, annotations, want)
		}
	}
	var mesh struct {
		Spec struct {
			MeshConfig struct {
				ExtensionProviders []struct {
					Name          string
					Opentelemetry struct {
						Service string
						Port    int
					}
				}
				DefaultProviders struct{ Tracing []string }
			}
		}
	}
	parseYAML(t, read(t, k8s, "istio.yaml"), &mesh)
	provider := mesh.Spec.MeshConfig.ExtensionProviders[0]
	if !known(fmt.Sprintf("%s:%d", provider.Opentelemetry.Service, provider.Opentelemetry.Port)) || !slices.Equal(mesh.Spec.MeshConfig.DefaultProviders.Tracing, []string{provider.Name}) {
		t.Errorf("the proxies of k8s/istio.yaml send spans to %v", provider)
	}
}

// TestTelemetryPolicy checks that the component network-policies lets Prometheus in and spans out, by the
// labels of the tools' pods.
func TestTelemetryPolicy(t *testing.T) {
	tools, _ := telemetry(t)
	pods := in[*appsv1.Deployment](tools, observability)
	policies := manifest.Of[*networkingv1.NetworkPolicy](with(t, copyOf(t), "network-policies"))
	at := slices.IndexFunc(policies, func(p *networkingv1.NetworkPolicy) bool { return p.Name == "fleetman-telemetry" })
	if at < 0 {
		t.Fatal("no NetworkPolicy fleetman-telemetry")
	}
	spec := policies[at].Spec
	for name, peer := range map[string]networkingv1.NetworkPolicyPeer{"prometheus": spec.Ingress[0].From[0], "otel-collector": spec.Egress[0].To[0]} {
		if app := peer.PodSelector.MatchLabels["app"]; app != name || pods[app].Spec.Template.Labels["app"] != app || peer.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] != observability {
			t.Errorf("%s: the policy selects %v in %v", name, peer.PodSelector, peer.NamespaceSelector)
		}
	}
	if ports := spec.Ingress[0].Ports; len(ports) != 2 || ports[0].Port.IntVal != 9090 || ports[1].Port.IntVal != 15020 || spec.Egress[0].Ports[0].Port.IntVal != 4318 {
		t.Errorf("ports %v and %v", ports, spec.Egress[0].Ports)
	}
}

func parseYAML(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil || text == "" {
		t.Fatalf("%v in %q", err, text)
	}
}
