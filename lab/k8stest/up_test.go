package k8stest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/nettest"
)

// TestUp starts every scenario's pods, with fake programs, as fleetman up does, and checks the notes about
// objects that it does not apply.
func TestUp(t *testing.T) {
	bin := fakes(t)
	for _, name := range scenarios(t) {
		t.Run(name, func(t *testing.T) {
			objects := load(t, filepath.Join(k8s, "scenarios", name))
			network := nettest.Network(t)
			var said strings.Builder
			fleet, err := local.Start(t.Context(), objects, local.Options{
				Bin: bin, State: t.TempDir(), Network: network, NodeAddress: nettest.Node(network), ReadyTimeout: 2 * time.Minute,
				Progress: func(line string) { fmt.Fprintln(&said, line) },
			})
			require.NoError(t, err)
			defer fleet.Stop()
			var got, want []string
			for _, pod := range fleet.Pods() {
				got = append(got, pod.Deployment)
				if !pod.Ready {
					t.Errorf("pod %s is not ready", pod.Name)
				}
			}
			for _, d := range manifest.Of[*appsv1.Deployment](objects) {
				want = append(want, d.Name)
			}
			if !slices.Equal(got, want) {
				t.Errorf("pods of %v, want of %v", got, want)
			}
			for _, object := range objects.All {
				if named := strings.Contains(said.String(), object.Name); object.IsRule() && !named {
					t.Errorf("no note that %s is not applied: %s", object.Ref(), said.String())
				}
			}
			if rules := slices.ContainsFunc(objects.All, manifest.Object.IsRule); !rules && said.Len() > 0 {
				t.Errorf("notes %s, want none, as all is applied", said.String())
			}
		})
	}
}

// fakes returns a directory with a fake of every program.
func fakes(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	first := filepath.Join(dir, "webapp")
	if out, err := exec.Command("go", "build", "-o", first, "../local/testdata/fake").CombinedOutput(); err != nil {
		t.Fatalf("building the fake: %v: %s", err, out)
	}
	for _, name := range []string{"api-gateway", "position-simulator", "position-tracker", "staff-service", "vehicle-telemetry"} {
		require.NoError(t, os.Link(first, filepath.Join(dir, name)))
	}
	return dir
}
