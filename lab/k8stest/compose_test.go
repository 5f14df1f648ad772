package k8stest

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"fleetman.example/lab/manifest"
)

// composed is a service of compose.yaml.
type composed struct {
	Image    string `json:"image"`
	Build    struct{ Context, Dockerfile string }
	Grace    string `json:"stop_grace_period"`
	ReadOnly bool   `json:"read_only"`
	Networks struct {
		Default struct{ Aliases []string }
	}
	Ports       []string
	Environment map[string]string
	CapDrop     []string          `json:"cap_drop"`
	Security    []string          `json:"security_opt"`
	Sysctls     map[string]string `json:"sysctls"`
	Restart     string
}

// TestCompose compares compose.yaml with k8s/base: it has the same services, images, names, ports and limits,
// and all variables of the manifests.
func TestCompose(t *testing.T) {
	var file struct{ Services map[string]composed }
	parseYAML(t, read(t, "../../compose.yaml"), &file)
	base := load(t, filepath.Join(k8s, "base"))
	want := map[string]composed{}
	for _, d := range manifest.Of[*appsv1.Deployment](base) {
		want[d.Name] = asComposed(t, d, manifest.Of[*corev1.Service](base))
	}
	for name, got := range file.Services {
		// variables that compose.yaml takes from the user, off by default
		for variable, value := range got.Environment {
			if open := value == "${RESILIENCE:-off}" || value == "${FAULTS_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+":-}"; open {
				delete(got.Environment, variable)
			}
		}
	}
	assert.Equal(t, want, file.Services, "compose.yaml against k8s/base")
}

// asComposed returns the service of compose.yaml for a Deployment.
func asComposed(t *testing.T, d *appsv1.Deployment, services []*corev1.Service) composed {
	t.Helper()
	pod := d.Spec.Template.Spec
	c := pod.Containers[0]
	require.Equal(t, int32(1), *d.Spec.Replicas, "%s: replicas: compose.yaml has one", d.Name)
	require.Len(t, pod.Containers, 1, "%s: compose.yaml has one container", d.Name)
	w := composed{
		Image:       c.Image,
		Grace:       fmt.Sprintf("%ds", *pod.TerminationGracePeriodSeconds),
		ReadOnly:    *c.SecurityContext.ReadOnlyRootFilesystem,
		Environment: map[string]string{},
		Restart:     "unless-stopped",
		Security:    []string{"no-new-privileges:true"},
	}
	w.Build.Context, w.Build.Dockerfile = ".", "services/"+d.Name+"/Dockerfile"
	for _, capability := range c.SecurityContext.Capabilities.Drop {
		w.CapDrop = append(w.CapDrop, string(capability))
	}
	for _, e := range c.Env {
		if !strings.HasPrefix(e.Name, "ADMIN_") { // for the kubelet's probes, and from the Secret
			w.Environment[e.Name] = e.Value
		}
	}
	if pod.SecurityContext.Sysctls != nil {
		w.Sysctls = map[string]string{}
	}
	for _, s := range pod.SecurityContext.Sysctls {
		w.Sysctls[s.Name] = s.Value
	}
	for _, s := range services {
		if s.Spec.Selector["app"] != d.Labels["app"] {
			continue
		}
		w.Networks.Default.Aliases = append(w.Networks.Default.Aliases, s.Name)
		for _, port := range s.Spec.Ports {
			assert.Equal(t, port.Port, containerPort(c, port.TargetPort.StrVal), "Service %s: compose translates no port", s.Name)
			if port.NodePort != 0 {
				w.Ports = append(w.Ports, fmt.Sprintf("127.0.0.1:%d:%d", port.NodePort, port.Port))
			}
		}
	}
	return w
}

func containerPort(c corev1.Container, name string) int32 {
	for _, p := range c.Ports {
		if p.Name == name {
			return p.ContainerPort
		}
	}
	return 0
}
