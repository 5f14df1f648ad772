package nettest

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNetwork checks that tests at the same time have different networks, the first of them different ports, and
// that a network is free again at the end of its test.
func TestNetwork(t *testing.T) {
	// No other process claims networks by this port: what it uses, now or meanwhile, changes nothing.
	own, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer own.Close()
	port := netip.MustParseAddrPort(own.Addr().String()).Port()
	for range 20 {
		t.Run("tests at once", func(t *testing.T) {
			used, third := map[netip.Prefix]bool{}, map[byte]bool{}
			for i := range 10 {
				network := freeNetwork(t, port)
				four := network.Addr().As4()
				if used[network] || four[0] != 127 || four[3] != 0 || network.Bits() != 24 {
					t.Fatalf("network %d: got %v, used before: %v", i, network, used[network])
				}
				if four[1] < 100+ports && third[four[2]] {
					t.Errorf("network %d: %v has the ports of another one", i, network)
				}
				used[network], third[four[2]] = true, true
			}
		})
	}
}
