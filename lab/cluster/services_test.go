package cluster

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReadyServices: Services with a ready pod and an address are waited for, others not.
func TestReadyServices(t *testing.T) {
	a := newAPI()
	c := a.client(t, "")
	up(t, c, load(t, scenarios+"plain"), options(t))
	pod := func(app, ready string) {
		a.put("v1", `{"kind":"Pod","metadata":{"name":"`+app+`-1","namespace":"fleetman","labels":{"app":"`+app+`","app.kubernetes.io/managed-by":"fleetman"}},
			"spec":{"nodeName":"one","containers":[{"name":"c","image":"fleetman/x:6"}]},"status":{"conditions":[{"type":"Ready","status":"`+ready+`"}]}}`)
	}
	service := func(name, app, address, protocol string) {
		a.put("v1", `{"kind":"Service","metadata":{"name":"`+name+`","namespace":"fleetman","labels":{"app.kubernetes.io/managed-by":"fleetman"}},
			"spec":{"clusterIP":"`+address+`","selector":{"app":"`+app+`"},"ports":[{"port":8080,"protocol":"`+protocol+`"}]}}`)
	}
	pod("a", "True")
	pod("b", "False")
	service("of-a", "a", "10.96.0.1", "TCP")
	service("of-b", "b", "10.96.0.2", "TCP")
	service("headless", "a", "None", "TCP")
	service("udp", "a", "10.96.0.3", "UDP")
	got, err := c.readyServices(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"10.96.0.1:8080"}, got, "addresses")
}

func TestAwaitAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var asked []string
		after := func(address string) bool {
			asked = append(asked, address)
			return time.Since(began) >= time.Second
		}
		require.NoError(t, awaitAll(t.Context(), []string{"a", "b"}, after))
		assert.Equal(t, time.Second, time.Since(began), "until all connect")
		assert.Equal(t, []string{"a", "b"}, slices.Compact(asked), "connections")

		began = time.Now()
		never := func(string) bool { return false }
		require.NoError(t, awaitAll(t.Context(), []string{"a", "b"}, never))
		assert.Equal(t, servicesWithin, time.Since(began), "behind a policy")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, awaitAll(ctx, []string{"a"}, never), context.DeadlineExceeded, "ended")
	})
}

// TestHelpersStay: helpers, which a client starts once, serve the next fleet too, and down removes them.
func TestHelpersStay(t *testing.T) {
	a := newAPI()
	c := a.client(t, "")
	before := a.refs()
	up(t, c, load(t, scenarios+"plain"), options(t))
	a.put("v1", `{"kind":"Pod","metadata":{"name":"fleetman-helper-1","namespace":"fleetman","labels":{"app.kubernetes.io/managed-by":"fleetman","`+
		partOfSet+`":"`+fleetID("fleetman")+`","`+helperLabel+`":"true"}}}`)
	up(t, c, load(t, "../../k8s/base"), options(t))
	assert.Contains(t, a.refs(), "Pod fleetman/fleetman-helper-1", "objects")
	down(t, c)
	a.wantRefs(t, before)
}
