// Package nettest gives each test loopback networks of its own.
package nettest

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
)

// The fleets of networks whose third bytes differ, modulo ports, have different ports at 127.0.0.1.
const ports = 28

// Network returns a network 127.X.Y.0/24 for the fleet of a test. Until the test ends, neither it nor the next
// three are another test's, of this process or of another one. A mesh uses the next one too. Up to 19 fleets that
// run at once have different ports at 127.0.0.1, also beside those of fleetman check --jobs 4.
func Network(t testing.TB) netip.Prefix {
	t.Helper()
	return freeNetwork(t, 65534)
}

// freeNetwork is Network, among the tests that claim networks by the same port.
func freeNetwork(t testing.TB, port uint16) netip.Prefix {
	t.Helper()
	for round := range 3 {
		for _, third := range rand.Perm(ports) {
			if third < 9 {
				continue // the port ranges of fleetman's default network and of the next ones, which check --jobs 4 uses
			}
			network := netip.AddrFrom4([4]byte{127, byte(100 + round*ports + third), byte(third), 0})
			// While this address is open, no other test gets it. No fleet listens at it.
			claim, err := net.Listen("tcp", netip.AddrPortFrom(at(network, 251), port).String())
			if err != nil {
				continue
			}
			t.Cleanup(func() { claim.Close() })
			return netip.PrefixFrom(network, 24)
		}
	}
	t.Fatal("no free network: at most 57 fleets of tests run at once")
	return netip.Prefix{}
}

// Node returns the node's address in such a network, where the NodePorts are.
func Node(network netip.Prefix) netip.Addr { return at(network.Addr(), 250) }

func at(network netip.Addr, host byte) netip.Addr {
	four := network.As4()
	four[3] = host
	return netip.AddrFrom4(four)
}
