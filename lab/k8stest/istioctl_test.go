package k8stest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh/binaries"
	"fleetman.example/lab/skip"
)

// istioctl returns the path of the real istioctl: $ISTIOCTL, or the one that make istioctl builds. It is "" without one.
var istioctl = sync.OnceValue(func() string {
	found, err := binaries.Source{Root: "../..", Getenv: os.Getenv}.AtHand().Istioctl(context.Background())
	if err != nil {
		return ""
	}
	return found.Path
})

func needIstioctl(t *testing.T) {
	t.Helper()
	if istioctl() == "" {
		skip.Without(t, "no istioctl: `make istioctl` builds it (some minutes, once), or set ISTIOCTL")
	}
}

// internals is the warning that every EnvoyFilter gets.
var internals = regexp.MustCompile(`\s*\* EnvoyFilter//\S+: EnvoyFilter exposes internal implementation details .*`)

// accepted returns the output of istioctl about the objects, or "" when it accepts them without a message.
func accepted(t *testing.T, objects *manifest.Objects) string {
	t.Helper()
	var text bytes.Buffer
	for _, object := range objects.All {
		document, err := yaml.JSONToYAML(object.JSON)
		require.NoError(t, err)
		text.WriteString("---\n")
		text.Write(document)
	}
	file := filepath.Join(t.TempDir(), "rendered.yaml")
	require.NoError(t, os.WriteFile(file, text.Bytes(), 0o644))
	said := internals.ReplaceAllString(run(t, file, "validate", "-f", file), "")
	said = strings.Replace(said, "\"FILE\" has warnings:", "\"FILE\" is valid", 1)
	if said == "\"FILE\" is valid" {
		said = run(t, file, "analyze", "--use-kube=false", "--color=false", "--failure-threshold=Info", "--suppress=IST0133=EnvoyFilter *",
			"--suppress=IST0128=DestinationRule *driver-monitoring*", file) // tls-origination does not verify, and says why
		said = strings.TrimPrefix(said, "✔ No validation issues found when analyzing FILE.")
	}
	return said
}

// run returns the output of istioctl, without the file's name.
func run(t *testing.T, file string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, istioctl(), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG=/nonexistent")
	out, err := cmd.CombinedOutput()
	said := strings.TrimSpace(strings.ReplaceAll(string(out), file, "FILE"))
	if err != nil && said == "" {
		t.Fatalf("istioctl %v: %v", args, err)
	}
	return said
}

func TestIstioAccepts(t *testing.T) {
	needIstioctl(t)
	for _, name := range scenarios(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Empty(t, accepted(t, load(t, filepath.Join(k8s, "scenarios", name))), "messages of istioctl")
		})
	}
}

// TestIstioRefuses checks that validate and analyze refuse invalid objects. TestDangling checks references that
// they accept.
func TestIstioRefuses(t *testing.T) {
	needIstioctl(t)
	for _, test := range []struct {
		name, scenario, old, replacement, want string
	}{
		{"a misspelt field of a VirtualService", "canary-weighted", `"weight":90`, `"wieght":90`, `unknown field "wieght"`},
		{"a misspelt field of a DestinationRule", "circuit-breaking", `"baseEjectionTime"`, `"baseEjectionTimes"`, `unknown field "baseEjectionTimes"`},
		{"weights below zero", "canary-weighted", `"weight":10`, `"weight":-10`, "weight -10 < 0"},
		{"a missing subset", "canary-weighted", `"subset":"risky"`, `"subset":"riskier"`, "IST0101"},
		{"a missing Gateway", "canary-prefix", `"gateways":["fleetman"]`, `"gateways":["fleet"]`, "IST0101"},
		{"an unknown mode", "mtls-strict", `"mode":"STRICT"`, `"mode":"STRICTEST"`, "STRICTEST"},
		{"a misspelt field of an AuthorizationPolicy", "authorization", `"principals"`, `"principles"`, `unknown field "principles"`},
		{"a duration without unit", "fault-delay", `"2s"`, `"2"`, "duration"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			objects := breakRule(t, test.scenario, test.old, test.replacement)
			assert.Contains(t, accepted(t, objects), test.want)
		})
	}
}

// TestInstall checks that k8s/istio.yaml renders an installation with the settings that the scenarios need.
func TestInstall(t *testing.T) {
	needIstioctl(t)
	file, err := filepath.Abs(filepath.Join(k8s, "istio.yaml"))
	require.NoError(t, err)
	assert.Equal(t, `"FILE" is valid`, run(t, file, "validate", "-f", file))
	rendered := run(t, file, "manifest", "generate", "-f", file)
	for _, want := range []string{"nodePort: 31380", "istio: ingressgateway", "accessLogEncoding: JSON", "name: SHARED_MESH_CONFIG", "value: " + manifest.MeshConfigMap, `"identity": "%DOWNSTREAM_PEER_URI_SAN%"`} {
		assert.Contains(t, rendered, want)
	}
	second := run(t, file, "manifest", "generate", "-f", file, "--set", "revision=next", "--set", "components.ingressGateways.[0].enabled=false") // upgrade-by-revision
	assert.Contains(t, second, "name: istiod-next\n")
	assert.NotContains(t, second, "istio: ingressgateway")
}
