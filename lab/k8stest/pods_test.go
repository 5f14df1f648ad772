package k8stest

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"

	"fleetman.example/lab/manifest"
)

// TestPods checks every pod of every scenario, including second versions, for the properties that lab/manifest
// tests of base's pods.
func TestPods(t *testing.T) {
	selectors := map[string]map[string]string{}
	graces := map[string]int64{} // of base's pods, by program; package manifest compares them with the drain times
	for _, d := range manifest.Of[*appsv1.Deployment](load(t, filepath.Join(k8s, "base"))) {
		graces[d.Name] = *d.Spec.Template.Spec.TerminationGracePeriodSeconds
	}
	for _, name := range append(scenarios(t), "../base") {
		objects := load(t, filepath.Join(k8s, "scenarios", name))
		accounts := map[string]bool{}
		for _, a := range manifest.Of[*corev1.ServiceAccount](objects) {
			accounts[a.Namespace+"/"+a.Name] = true
		}
		budgets := map[string]bool{}
		for _, b := range manifest.Of[*policyv1.PodDisruptionBudget](objects) {
			budgets[b.Spec.Selector.MatchLabels["app"]] = b.Spec.MaxUnavailable.IntVal == 1
		}
		for _, d := range manifest.Of[*appsv1.Deployment](objects) {
			pod := d.Spec.Template
			c := pod.Spec.Containers[0]
			simulator := d.Name == "position-simulator"
			for what, ok := range map[string]bool{
				"labels app, version and instance":    pod.Labels["app"] != "" && pod.Labels["version"] != "" && pod.Labels["app.kubernetes.io/instance"] == d.Name,
				"the version in its own labels too":   d.Labels["version"] == pod.Labels["version"] && d.Labels["app"] == pod.Labels["app"],
				"a service account of the manifests":  accounts[d.Namespace+"/"+pod.Spec.ServiceAccountName],
				"no token":                            pod.Spec.AutomountServiceAccountToken != nil && !*pod.Spec.AutomountServiceAccountToken,
				"the restricted pod security level":   restricted(pod.Spec),
				"a preStop sleep, and time to drain":  c.Lifecycle.PreStop.Sleep.Seconds == 3 && *pod.Spec.TerminationGracePeriodSeconds == graces[c.Name],
				"a new pod before the old one leaves": simulator || d.Spec.Strategy.RollingUpdate.MaxSurge.IntVal == 1 && d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntVal == 0,
				"never two simulators":                !simulator || d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType,
				"replicas of a service spread":        simulator || slices.Equal(pod.Spec.TopologySpreadConstraints[0].MatchLabelKeys, []string{"app"}),
				"a disruption budget":                 simulator || d.Namespace == "outside" || budgets[pod.Labels["app"]],
				"probes at the admin port":            c.ReadinessProbe.HTTPGet.Port.StrVal == "admin" && c.LivenessProbe.HTTPGet.Port.StrVal == "admin",
				"a selector without the version":      d.Spec.Selector.MatchLabels["version"] == "",
			} {
				assert.True(t, ok, "%s: Deployment %s: want %s", name, d.Name, what)
			}
			// A selector is immutable: with a different one a Deployment would have to be deleted between scenarios.
			if before := selectors[d.Name]; before != nil {
				assert.Equal(t, before, d.Spec.Selector.MatchLabels, "%s: Deployment %s: selector", name, d.Name)
			}
			selectors[d.Name] = d.Spec.Selector.MatchLabels
		}
	}
}

// restricted reports whether a pod has the settings of the restricted pod security level, and a read-only root.
func restricted(pod corev1.PodSpec) bool {
	all, c := pod.SecurityContext, pod.Containers[0].SecurityContext
	return *all.RunAsNonRoot && *all.RunAsUser > 0 && all.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault &&
		slices.Equal(c.Capabilities.Drop, []corev1.Capability{"ALL"}) && !*c.AllowPrivilegeEscalation && *c.ReadOnlyRootFilesystem
}

// TestNetworkPolicies compares the component with the connections of the contract.
func TestNetworkPolicies(t *testing.T) {
	calls := map[string][]string{
		"webapp": {"api-gateway"}, "api-gateway": {"position-tracker", "staff-service"},
		"position-tracker":  {"staff-service", "vehicle-telemetry"},
		"vehicle-telemetry": nil, "staff-service": {"driver-monitoring"}, "position-simulator": {"position-tracker"},
	}
	callers := map[string][]string{}
	for from, to := range calls {
		for _, callee := range to {
			callers[callee] = append(callers[callee], from)
		}
	}
	deny := false
	seen := 0
	for _, p := range manifest.Of[*networkingv1.NetworkPolicy](with(t, copyOf(t), "network-policies")) {
		app := p.Spec.PodSelector.MatchLabels["app"]
		if p.Name == "fleetman-telemetry" { // TestTelemetryPolicy
			continue
		}
		if app == "" {
			deny = slices.Equal(p.Spec.PolicyTypes, []networkingv1.PolicyType{"Ingress", "Egress"}) && len(p.Spec.Ingress) == 0 &&
				maps.Equal(p.Spec.PodSelector.MatchLabels, map[string]string{"app.kubernetes.io/part-of": "fleetman"})
			continue
		}
		seen++
		var in, out []string
		for _, rule := range p.Spec.Ingress {
			in = append(in, peers(rule.From)...)
			assert.Equal(t, map[bool]int32{true: 80, false: 8080}[app == "webapp"], rule.Ports[0].Port.IntVal, "%s: port", app)
		}
		for _, rule := range p.Spec.Egress {
			out = append(out, peers(rule.To)...)
		}
		want := callers[app]
		if app == "webapp" {
			want = []string{"anyone"}
		}
		assert.ElementsMatch(t, want, in, "%s: from", app)
		assert.ElementsMatch(t, calls[app], out, "%s: to", app)
	}
	assert.True(t, deny, "denied by default")
	assert.Len(t, calls, seen, "policies")
}

func peers(from []networkingv1.NetworkPolicyPeer) []string {
	if len(from) == 0 {
		return []string{"anyone"}
	}
	var apps []string
	for _, peer := range from {
		apps = append(apps, strings.Join(slices.Collect(maps.Values(peer.PodSelector.MatchLabels)), " "))
	}
	return apps
}
