package mesh

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh/envoy"
)

// TestEjections checks until when a host is ejected, by the DestinationRule in force, and which ejections are
// over.
func TestEjections(t *testing.T) {
	objects, err := manifest.Load("testdata/ejections.yaml")
	require.NoError(t, err)
	m := &Mesh{manifests: objects}
	const staff = "|fleetman-staff-service.default.svc.cluster.local"
	began := time.Unix(1000, 0)
	for _, test := range []struct {
		cluster string
		times   int
		want    time.Duration
	}{
		{"outbound|8080|" + staff, 1, 10 * time.Second},
		{"outbound|8080|" + staff, 3, 30 * time.Second},
		{"outbound|8080|" + staff, 90, 300 * time.Second},
		{"outbound|8080|safe" + staff, 2, 2 * time.Minute},
		{"outbound|8080|risky" + staff, 1, 10 * time.Second},
		{"outbound|8080||fleetman-staff-service-2.default.svc.cluster.local", 1, 30 * time.Second},
		{"outbound|443||a.example.com", 2, 400 * time.Second},
	} {
		p := &proxy{}
		p.noteEjection(envoy.Ejection{Time: began, Cluster: test.cluster, Host: "127.0.1.4:8080", Action: "EJECT", Type: "CONSECUTIVE_5XX", Times: test.times, Enforced: true})
		p.noteEjection(envoy.Ejection{Time: began, Cluster: test.cluster, Host: "127.0.1.5:8080", Action: "EJECT"}) // only detected
		now := map[string]*envoy.ClusterStats{test.cluster: {EjectedNow: 1}}
		found := m.ejections(p, now)
		require.Len(t, found, 1, test.cluster)
		e := found[0]
		assert.Equal(t, []any{test.want, "consecutive_5xx", "127.0.1.4:8080"}, []any{e.Until.Sub(began), e.Cause, e.Host}, "%s, ejection %d", test.cluster, test.times)
		assert.Empty(t, m.ejections(p, map[string]*envoy.ClusterStats{test.cluster: {}}), "%s, restarted", test.cluster)
		p.noteEjection(envoy.Ejection{Cluster: test.cluster, Host: "127.0.1.4:8080", Action: "UNEJECT"})
		assert.Empty(t, m.ejections(p, now), "%s, returned", test.cluster)
	}
}
