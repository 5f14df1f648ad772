package process

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/wants"
)

func TestUsageOf(t *testing.T) {
	usage, err := UsageOf(t.Context(), os.Getpid())
	require.NoError(t, err)
	assert.True(t, usage.RSS >= 1<<20 && usage.RSS <= 8<<30 && usage.CPU >= 0 && usage.CPU <= time.Hour, "got %+v", usage)
	require.Eventually(t, func() bool {
		later, err := UsageOf(t.Context(), os.Getpid())
		return assert.NoError(t, err) && later.CPU > usage.CPU
	}, 2*time.Minute, time.Microsecond, "CPU stays %v", usage.CPU)
	_, err = UsageOf(t.Context(), 1<<30)
	wants.Error(t, "a process that is not there", err, "usage of process 1073741824: …")
}

func TestMachine(t *testing.T) {
	m, err := TimeOfMachine(t.Context())
	require.NoError(t, err)
	assert.True(t, m.Busy > 0 && m.Stolen >= 0, "got %v", m)
	assert.NotEmpty(t, MachineModel(t.Context()), "model")
}
