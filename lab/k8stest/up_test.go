package k8stest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"

	"fleetman.example/lab/local"
	"fleetman.example/lab/local/fakes"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/nettest"
)

// TestUp starts every scenario's pods, with fake programs, as fleetman up does, and checks the notes about
// objects that it does not apply.
func TestUp(t *testing.T) {
	bin := fakes.Dir(t)
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
				assert.True(t, pod.Ready, pod.Name)
			}
			for _, d := range manifest.Of[*appsv1.Deployment](objects) {
				want = append(want, d.Name)
			}
			assert.Equal(t, want, got, "Deployments of the pods")
			for _, object := range objects.All {
				if object.IsRule() {
					assert.Contains(t, said.String(), object.Name, "a note that it is not applied")
				}
			}
			if !slices.ContainsFunc(objects.All, manifest.Object.IsRule) {
				assert.Empty(t, said.String(), "notes, as all is applied")
			}
		})
	}
}
