package local

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestFixedPorts checks that the ranges of all networks are below the ports that Linux gives to outgoing connections.
func TestFixedPorts(t *testing.T) {
	highest := 0
	for third := range 256 {
		highest = max(highest, adminPorts+placeOf(netip.AddrFrom4([4]byte{127, 0, byte(third), 255})))
	}
	assert.Less(t, highest, 32768, "highest port")
	assert.Greater(t, claimPort, 60999, "port of claims")
}
