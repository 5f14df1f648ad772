package nettest

import (
	"net/netip"
	"testing"
)

// TestNetwork checks that tests at the same time have different networks, the first of them different ports, and
// that a network is free again at the end of its test.
func TestNetwork(t *testing.T) {
	for range 20 {
		t.Run("tests at once", func(t *testing.T) {
			used, third := map[netip.Prefix]bool{}, map[byte]bool{}
			for i := range 10 {
				network := Network(t)
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

func TestNode(t *testing.T) {
	if got := Node(netip.MustParsePrefix("127.120.4.0/24")); got != netip.MustParseAddr("127.120.4.250") {
		t.Errorf("got %v", got)
	}
}
