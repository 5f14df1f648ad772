package manifest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// drain is a service's DRAIN_TIMEOUT by its README's table, in seconds.
func drain(t *testing.T, service string) int64 {
	t.Helper()
	text, err := os.ReadFile("../../services/" + service + "/README.md")
	require.NoError(t, err)
	found := regexp.MustCompile("`DRAIN_TIMEOUT` \\| `([^`]*)`").FindSubmatch(text)
	require.NotNil(t, found, "%s: default of DRAIN_TIMEOUT", service)
	d, err := time.ParseDuration(string(found[1]))
	require.NoError(t, err)
	return int64(d.Seconds())
}

// TestBaseServices holds k8s/base against the contract's table.
func TestBaseServices(t *testing.T) {
	want := map[string]int32{
		"fleetman-webapp": 80, "fleetman-api-gateway": 8080, "fleetman-position-tracker": 8080,
		"fleetman-vehicle-telemetry": 8080, "fleetman-staff-service": 8080,
	}
	got := map[string]int32{}
	for _, s := range Of[*corev1.Service](load(t, "../../k8s/base")) {
		port := s.Spec.Ports[0]
		got[s.Name] = port.Port
		assert.Equal(t, "http", port.Name, "Service %s: name of its port", s.Name)
		assert.Equal(t, map[string]string{"app": strings.TrimPrefix(s.Name, "fleetman-")}, s.Spec.Selector, "Service %s: selector", s.Name)
		if s.Name == "fleetman-webapp" {
			assert.EqualValues(t, 30080, port.NodePort, "the page's nodePort")
		}
	}
	assert.Equal(t, want, got, "Services")
}

// TestBasePods: what a namespace with the restricted profile asks for, and
// what a graceful end needs.
func TestBasePods(t *testing.T) {
	objects := load(t, "../../k8s/base")
	accounts := map[string]bool{}
	for _, account := range Of[*corev1.ServiceAccount](objects) {
		accounts[account.Name] = true
	}
	var names []string
	for _, d := range Of[*appsv1.Deployment](objects) {
		names = append(names, d.Name)
		pod := d.Spec.Template.Spec
		c := pod.Containers[0]
		for what, ok := range map[string]bool{
			"labels app and version":           d.Spec.Template.Labels["app"] == d.Name && d.Spec.Template.Labels["version"] != "",
			"a service account of its own":     pod.ServiceAccountName == d.Name && accounts[d.Name],
			"no token":                         pod.AutomountServiceAccountToken != nil && !*pod.AutomountServiceAccountToken,
			"a numeric user, not root":         *pod.SecurityContext.RunAsNonRoot && *pod.SecurityContext.RunAsUser > 0,
			"seccomp":                          pod.SecurityContext.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault,
			"no capabilities":                  slices.Equal(c.SecurityContext.Capabilities.Drop, []corev1.Capability{"ALL"}) && len(c.SecurityContext.Capabilities.Add) == 0,
			"no more privileges":               !*c.SecurityContext.AllowPrivilegeEscalation,
			"a read-only root":                 *c.SecurityContext.ReadOnlyRootFilesystem,
			"requests and limits":              len(c.Resources.Requests) == 2 && len(c.Resources.Limits) == 2,
			"an image with a fixed tag":        strings.HasPrefix(c.Image, "fleetman/"+d.Name+":") && !strings.HasSuffix(c.Image, ":latest"),
			"readiness at /readyz":             c.ReadinessProbe.HTTPGet.Path == "/readyz" && c.ReadinessProbe.HTTPGet.Port.StrVal == "admin",
			"liveness at /healthz":             c.LivenessProbe.HTTPGet.Path == "/healthz" && c.LivenessProbe.HTTPGet.Port.StrVal == "admin",
			"a preStop sleep":                  c.Lifecycle.PreStop.Sleep.Seconds == 3,
			"a grace period beyond the drain":  *pod.TerminationGracePeriodSeconds > drain(t, d.Name)+c.Lifecycle.PreStop.Sleep.Seconds,
			"a low port only with its sysctl":  c.Ports[0].ContainerPort >= 1024 || (len(pod.SecurityContext.Sysctls) == 1 && pod.SecurityContext.Sysctls[0].Name == "net.ipv4.ip_unprivileged_port_start"),
			"every port with a name, for mesh": !slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == "" }),
		} {
			assert.True(t, ok, "Deployment %s: %s", d.Name, what)
		}
	}
	assert.ElementsMatch(t, []string{"api-gateway", "position-simulator", "position-tracker", "staff-service", "vehicle-telemetry", "webapp"}, names, "Deployments")
}
