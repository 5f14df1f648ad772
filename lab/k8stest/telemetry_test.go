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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/local"
	"fleetman.example/lab/local/fakes"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/nettest"
)

// telemetry returns the fleet with the component telemetry, including the objects that fleetman up leaves out,
// and those of them that have no namespace.
func telemetry(t *testing.T) (objects *manifest.Objects, wide []manifest.Object) {
	t.Helper()
	objects = with(t, copyOf(t), "telemetry")
	for _, object := range objects.LeftOut {
		require.Equal(t, manifest.Telemetry, object.LeftOut, "%s is left out", object.Ref())
		assert.Equal(t, "fleetman", labelsOf(object)[partOf], object.Ref())
		if strings.HasPrefix(object.Kind, "Cluster") {
			wide = append(wide, object)
			continue
		}
		// without the label by which it is left out
		found, err := manifest.Decode(object.Source, []byte(strings.ReplaceAll(string(object.JSON), `"app.kubernetes.io/component":"telemetry"`, `"left":"in"`)))
		require.NoError(t, err)
		require.Len(t, found, 1, object.Ref())
		require.Empty(t, found[0].LeftOut, object.Ref())
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
	assert.Empty(t, dangling(t, objects))
	maps := in[*corev1.ConfigMap](objects, observability)
	accounts := in[*corev1.ServiceAccount](objects, observability)
	pods := in[*appsv1.Deployment](objects, observability)
	pinned := regexp.MustCompile(`^[a-z-]+/[a-z-]+:v?[0-9]+\.[0-9]+\.[0-9]+$`)
	for _, name := range []string{"otel-collector", "jaeger", "prometheus", "grafana"} {
		d := pods[name]
		require.NotNil(t, d, name)
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
			assert.True(t, ok, "Deployment %s: want %s", name, what)
		}
		for _, v := range pod.Volumes {
			if v.ConfigMap == nil {
				continue
			}
			m := maps[v.ConfigMap.Name]
			require.NotNil(t, m, "Deployment %s: ConfigMap %s", name, v.ConfigMap.Name)
			for _, item := range v.ConfigMap.Items {
				assert.NotEmpty(t, m.Data[item.Key], "Deployment %s: ConfigMap %s: %s", name, v.ConfigMap.Name, item.Key)
			}
		}
	}
	assert.Len(t, wide, 2, "objects without a namespace: a ClusterRole and its binding")
	for _, object := range wide {
		var role rbacv1.ClusterRole
		require.NoError(t, json.Unmarshal(object.JSON, &role))
		for _, rule := range role.Rules {
			assert.Equal(t, []string{"pods"}, rule.Resources, "that Prometheus may read")
			assert.NotContains(t, rule.Verbs, "*")
		}
	}
	// kubectl apply keeps a copy of each object in an annotation, and annotations have at most 256 KiB.
	for name, m := range maps {
		text, err := json.Marshal(m)
		require.NoError(t, err)
		assert.LessOrEqual(t, len(text), 250<<10, "ConfigMap %s: bytes", name)
	}
}

// TestTelemetryOnOneMachine checks that a fleet with the component starts on this machine, without the tools.
func TestTelemetryOnOneMachine(t *testing.T) {
	objects := with(t, copyOf(t), "telemetry")
	network := nettest.Network(t)
	err := local.CheckStart(objects, local.Options{Bin: fakes.Dir(t), State: t.TempDir(), Network: network, NodeAddress: nettest.Node(network)})
	assert.NoError(t, err)
	assert.Contains(t, strings.Join(local.LeftOut(objects, false), "\n"), manifest.Telemetry, "a note about the tools")
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
	assert.True(t, known(collector.Exporters["otlp"].Endpoint), "the collector sends to %v", collector.Exporters)
	assert.NotEmpty(t, collector.Service.Pipelines["traces"].Exporters)
	var grafana struct {
		Datasources []struct{ Name, Type, URL string }
	}
	parseYAML(t, data["grafana/datasources.yaml"], &grafana)
	assert.Len(t, grafana.Datasources, 2)
	for _, source := range grafana.Datasources {
		u, err := url.Parse(source.URL)
		require.NoError(t, err)
		assert.True(t, known(u.Host), "data source %s: %s", source.Name, source.URL)
	}
	var prometheus struct {
		RuleFiles []string `json:"rule_files"`
	}
	parseYAML(t, data["prometheus/prometheus.yml"], &prometheus)
	pod := in[*appsv1.Deployment](objects, observability)["prometheus"].Spec.Template.Spec
	for _, rules := range prometheus.RuleFiles {
		mounted := func(m corev1.VolumeMount) bool { return m.MountPath == filepath.Dir(rules) }
		assert.True(t, slices.ContainsFunc(pod.Containers[0].VolumeMounts, mounted), "rule_files: %s: must be mounted", rules)
	}
	for _, d := range manifest.Of[*appsv1.Deployment](objects) {
		if d.Namespace == observability {
			continue
		}
		env := map[string]string{}
		for _, e := range d.Spec.Template.Spec.Containers[0].Env {
			env[e.Name] = e.Value
		}
		u, err := url.Parse(env["OTEL_EXPORTER_OTLP_ENDPOINT"])
		require.NoError(t, err)
		assert.True(t, known(u.Host), "Deployment %s sends spans to %s", d.Name, u)
		assert.Equal(t, "none", env["OTEL_METRICS_EXPORTER"], d.Name)
		annotations := d.Spec.Template.Annotations
		at := slices.IndexFunc(d.Spec.Template.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == "admin" })
		port := fmt.Sprint(d.Spec.Template.Spec.Containers[0].Ports[at].ContainerPort)
		for name, want := range map[string]string{"scrape": "true", "port": port, "path": "/metrics"} {
			assert.Equal(t, want, annotations["prometheus.io/"+name], "Deployment %s: %s", d.Name, name)
		}
	}
	mesh := istioYAML(t).Spec.MeshConfig
	provider := mesh.ExtensionProviders[0]
	assert.True(t, known(fmt.Sprintf("%s:%d", provider.Opentelemetry.Service, provider.Opentelemetry.Port)), "the proxies of k8s/istio.yaml send spans to %v", provider)
	assert.Equal(t, []string{provider.Name}, mesh.DefaultProviders.Tracing)
}

// TestTelemetryPolicy checks that the component network-policies lets Prometheus in and spans out, by the
// labels of the tools' pods.
func TestTelemetryPolicy(t *testing.T) {
	tools, _ := telemetry(t)
	pods := in[*appsv1.Deployment](tools, observability)
	policies := manifest.Of[*networkingv1.NetworkPolicy](with(t, copyOf(t), "network-policies"))
	at := slices.IndexFunc(policies, func(p *networkingv1.NetworkPolicy) bool { return p.Name == "fleetman-telemetry" })
	require.GreaterOrEqual(t, at, 0, "NetworkPolicy fleetman-telemetry")
	spec := policies[at].Spec
	for name, peer := range map[string]networkingv1.NetworkPolicyPeer{"prometheus": spec.Ingress[0].From[0], "otel-collector": spec.Egress[0].To[0]} {
		assert.Equal(t, name, peer.PodSelector.MatchLabels["app"], "selected by the policy")
		assert.Equal(t, name, pods[name].Spec.Template.Labels["app"])
		assert.Equal(t, observability, peer.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"], name)
	}
	ports := spec.Ingress[0].Ports
	require.Len(t, ports, 2)
	assert.Equal(t, []int32{9090, 15020, 4318}, []int32{ports[0].Port.IntVal, ports[1].Port.IntVal, spec.Egress[0].Ports[0].Port.IntVal})
}

func parseYAML(t *testing.T, text string, into any) {
	t.Helper()
	require.NotEmpty(t, text)
	require.NoError(t, yaml.Unmarshal([]byte(text), into))
}
