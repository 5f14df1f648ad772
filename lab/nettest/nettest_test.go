package nettest

import (
	"net/netip"
	"testing"
)

// TestNetwork checks that tests at the same time have different networks, and that one is free again at the end.
func TestNetwork(t *testing.T) {
	used := map[netip.Prefix]bool{}
	t.Run("a test", func(t *testing.T) {
		for range 500 {
			network := Network(t)
			if four := network.Addr().As4(); used[network] || four[0] != 127 || four[2]%4 != 0 || network.Bits() != 24 {
				t.Fatalf("got %v, used before: %v", network, used[network])
			}
			used[network] = true
		}
	})
	for range 5000 {
		var network netip.Prefix
		t.Run("another", func(t *testing.T) { network = Network(t) })
		if used[network] {
			return
		}
	}
	t.Error("none of 500 networks is used again after the test that had them")
}

func TestNode(t *testing.T) {
	if got := Node(netip.MustParsePrefix("127.120.4.0/24")); got != netip.MustParseAddr("127.120.4.250") {
		t.Errorf("got %v", got)
	}
}
