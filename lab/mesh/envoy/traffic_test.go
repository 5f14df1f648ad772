package envoy

import (
	_ "embed"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const trafficCluster = "outbound|8080|safe|fleetman-staff-service.default.svc.cluster.local"

//go:embed testdata/stats.txt
var trafficText string

func TestTraffic(t *testing.T) {
	var query string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.Query().Get("histogram_buckets") + fmt.Sprint(r.URL.Query().Has("usedonly")) + r.URL.Query().Get("filter")
		fmt.Fprint(w, trafficText)
	}))
	defer server.Close()
	client := NewClient(netip.MustParseAddrPort(server.Listener.Addr().String()))
	defer client.Close()
	got, err := client.Traffic(t.Context(), true)
	require.NoError(t, err)
	want := map[string]*ClusterStats{
		trafficCluster: {
			Cluster: trafficCluster, Requests: 12, Codes: map[int]uint64{200: 10, 503: 2}, Retries: 3, Connections: 4, Handshakes: 4, EjectedNow: 1,
			Took: []Bucket{{0.0005, 1}, {0.001, 5}, {0.025, 12}, {3600, 12}},
		},
		"inbound|8080||":             {Cluster: "inbound|8080||", Codes: map[int]uint64{200: 7}},
		"outbound|80||quiet.example": {Cluster: "outbound|80||quiet.example", Codes: map[int]uint64{}},
	}
	assert.Equal(t, want, got)
	assert.True(t, strings.HasPrefix(query, "cumulativetrue") && strings.Contains(query, "upstream_rq_time"), "query of a gateway: %s", query)
	_, err = client.Traffic(t.Context(), false)
	require.NoError(t, err)
	assert.Contains(t, query, "inbound", "query of a pod's proxy")
	assert.NotContains(t, query, "upstream_rq_time", "query of a pod's proxy")
}

// TestTrafficCost bounds what the parser allocates: little more than what it returns.
func TestTrafficCost(t *testing.T) {
	text := []byte(strings.Repeat(trafficText, 100))
	allocations := testing.AllocsPerRun(10, func() { parseTraffic(text) })
	assert.LessOrEqual(t, allocations, 1000.0, "allocations for 1300 lines")
}
