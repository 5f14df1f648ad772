package cluster

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestOtherGateways: a Gateway of another namespace that takes the fleet's requests is noted.
func TestOtherGateways(t *testing.T) {
	a := newAPI().withIstio("v1")
	gateway := func(namespace, selector, port, host string) {
		a.put("networking.istio.io/v1", `{"kind":"Gateway","metadata":{"name":"g","namespace":"`+namespace+`"},"spec":{"selector":{"istio":"`+selector+`"},"servers":[
			{"port":{"number":`+port+`},"hosts":["`+host+`"]}]}}`)
	}
	gateway("a", "ingressgateway", "80", "other/*")
	gateway("b", "ingressgateway", "80", "a.example")
	gateway("c", "egressgateway", "80", "*")
	gateway("d", "ingressgateway", "8443", "*")
	gateway("fleetman", "ingressgateway", "80", "*")
	c := a.client(t, "")
	objects := load(t, scenarios+"canary-prefix")
	const want = "Gateway fleetman/fleetman: Gateway a/g has host *:80, too, at the same ingress gateway: the older one receives the requests"
	got, err := c.OtherGateways(t.Context(), objects)
	require.NoError(t, err)
	assert.Equal(t, []string{want}, got)
	o := options(t)
	var lines []string
	o.Progress = func(line string) { lines = append(lines, line) }
	up(t, c, objects, o)
	assert.Contains(t, lines, want, "up")

	a.refuse(http.MethodGet, "/apis/networking.istio.io/v1/gateways", 403, "forbidden")
	got, err = c.OtherGateways(t.Context(), objects)
	require.NoError(t, err)
	assert.Empty(t, got, "where they may not be listed")
}
