package mesh

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"fleetman.example/lab/mesh/envoy"
)

// TestWatchHangingProxy checks that a proxy is probed at its times, also while its probes time out.
func TestWatchHangingProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		running, end := context.WithCancel(t.Context())
		defer end()
		began := time.Now()
		var mu sync.Mutex // each probe has a goroutine
		var probes []time.Duration
		admin := envoy.NewDialClient("hanging", func(context.Context, string, string) (net.Conn, error) {
			mu.Lock()
			if probes = append(probes, time.Since(began)); len(probes) == unreadyAfter {
				end()
			}
			mu.Unlock()
			<-running.Done()
			return nil, context.Canceled
		})
		defer admin.Close()
		p := &proxy{mesh: &Mesh{}, running: running, admin: admin}
		p.watch(lookEvery, 300*time.Millisecond)
		const ms = time.Millisecond
		assert.Equal(t, []time.Duration{1300 * ms, 2300 * ms, 3300 * ms, 4300 * ms}, probes, "probes")
	})
}
