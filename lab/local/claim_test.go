package local

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/wants"
)

// injected is a namespace whose pods have proxies in a mesh.
const injected = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {istio-injection: enabled}}\n"

// TestSecondFleetOnTheSameAddresses: a fleet whose network, or whose mesh's
// second network, is another fleet's is refused before anything is started,
// whichever came first.
func TestSecondFleetOnTheSameAddresses(t *testing.T) {
	lower, upper := testOptions(t), testOptions(t)
	upper.Network = netip.PrefixFrom(outboundOf(lower.Network.Addr(), lower.Network), 24)
	staff := one("", "{port: 8080}") + injected
	last := func(n netip.Prefix, host byte) string {
		bytes := n.Addr().As4()
		bytes[3] = host
		return netip.AddrFrom4(bytes).String()
	}
	for _, test := range []struct {
		name          string
		first, second Options
		want          string
	}{
		{
			"the same network", lower, lower,
			fmt.Sprintf("--network %v: %s is another fleet's: must be a network that is free; fleetman down ends a fleet", lower.Network, last(lower.Network, 1)),
		},
		{
			"the second network of a mesh", withMesh(upper), withMesh(lower),
			fmt.Sprintf("--network %v: %s is another fleet's: must be a network that is free, and with --mesh the next one too, %v; fleetman down ends a fleet",
				lower.Network, last(upper.Network, 2), upper.Network),
		},
		{
			"the first network, which is a mesh's second", withMesh(lower), withMesh(upper),
			fmt.Sprintf("--network %v: %s is another fleet's: must be a network that is free, and with --mesh the next one too, %v; fleetman down ends a fleet",
				upper.Network, last(upper.Network, 2), netip.PrefixFrom(outboundOf(upper.Network.Addr(), upper.Network), 24)),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.second.State = t.TempDir()
			f := startFleet(t, decode(t, staff), test.first)
			defer f.Stop()
			assert.Error(t, CheckFree(test.first), "its network")
			_, err := Start(t.Context(), decode(t, staff), test.second)
			wants.Error(t, test.name, err, test.want)
		})
	}
	require.NoError(t, CheckFree(lower))
	startFleet(t, decode(t, staff), lower) // all is free again
}

func withMesh(o Options) Options {
	o.Mesh = true
	return o
}

// TestPortInUse: the ports that a mesh will open are checked too.
func TestPortInUse(t *testing.T) {
	o := withMesh(testOptions(t))
	occupy(t, outboundOf(o.Network.Addr().Next().Next(), o.Network).String()+":8080")
	_, err := Start(t.Context(), decode(t, one("", "{port: 8080}")+injected), o)
	want := fmt.Sprintf("pod staff-0: its proxy's port for calls: %v:8080 is in use: stop the program that listens there, or take other addresses with --network",
		outboundOf(o.Network.Addr().Next().Next(), o.Network))
	wants.Error(t, "the port of a proxy", err, want)
}
