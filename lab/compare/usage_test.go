package compare

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/record"
)

// TestUsageOfRevisions checks that the usage of the control plane is that of the istiods of all revisions.
func TestUsageOfRevisions(t *testing.T) {
	usage := func(pids ...int) (cpu, memory float64) {
		f := localFleet{pids: map[string][]int{record.ControlPlane: pids}}
		require.True(t, f.controlled())
		counts, err := f.usage(t.Context(), record.ControlPlane)
		require.NoError(t, err)
		require.Len(t, counts, 2)
		return counts[0].N, counts[1].N
	}
	here := os.Getpid()
	cpu, memory := usage(here)
	bothCPU, bothMemory := usage(here, here)
	assert.GreaterOrEqual(t, bothCPU, 2*cpu, "CPU of two") // which only grows
	assert.Greater(t, bothMemory, 1.5*memory, "memory of two")
	f := localFleet{}
	assert.False(t, f.controlled(), "without a mesh")
}
