package k8stest

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"fleetman.example/lab/manifest"
)

// TestMatched compares the mesh's policies with the library's, number by number, as in
// k8s/scenarios/resilience/README.md.
func TestMatched(t *testing.T) {
	library := configured(t, "library")
	var policies int
	found := map[string][]route{}
	for _, object := range load(t, filepath.Join(k8s, "scenarios/resilience/mesh")).All {
		switch object.Kind {
		case "DestinationRule":
			policies++
			matchPolicy(t, object, library)
		case "VirtualService":
			found[object.Name] = routes(t, object)
		}
	}
	delete(found, "fleetman-webapp") // the route of the ingress gateway, which has no policy
	assert.Equal(t, 4, policies, "policies compared")
	gateway, tracker := caller(t, "webapp", library), caller(t, "position-simulator", library)
	assert.Equal(t, map[string][]route{
		"fleetman-staff-service":     {repeated("GET", library), once("", library)},
		"fleetman-vehicle-telemetry": {repeated("GET, POST /vehicles/", library), once("", library)},
		"fleetman-position-tracker":  {repeated("GET", library), repeated("POST /vehicles/", tracker), once("", tracker)},
		"fleetman-api-gateway":       {once("", gateway)},
	}, found, "routes of the library and of the mesh")
	// Envoy's maximum is ten times RETRY_BACKOFF
	assert.Equal(t, "25ms", library["RETRY_BACKOFF"])
	assert.Equal(t, "250ms", library["RETRY_BACKOFF_MAX"])
	assert.Equal(t, "1", gateway["RETRY_ATTEMPTS"], "of webapp")
	assert.Equal(t, library["RETRY_ATTEMPTS"], tracker["RETRY_ATTEMPTS"], "of position-simulator")
}

// route has the policies of a route of a VirtualService.
type route struct{ match, tries, try, all, on, backoff string }

// repeated returns the route of calls that are safe to repeat, for the library's environment in their caller.
func repeated(match string, library map[string]string) route {
	return route{match, library["RETRY_ATTEMPTS"], library["ATTEMPT_TIMEOUT"], library["UPSTREAM_TIMEOUT"], "5xx,reset,connect-failure", library["RETRY_BACKOFF"]}
}

// once returns the route of the other calls: one attempt.
func once(match string, library map[string]string) route {
	return route{match: match, tries: "1", all: library["ATTEMPT_TIMEOUT"]}
}

func routes(t *testing.T, object manifest.Object) (found []route) {
	t.Helper()
	var rule struct {
		Spec struct {
			HTTP []struct {
				Timeout string
				Match   []struct {
					Method struct{ Exact string }
					URI    struct{ Prefix string }
				}
				Retries struct {
					Attempts                        int
					PerTryTimeout, RetryOn, Backoff string
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal(object.JSON, &rule))
	for _, h := range rule.Spec.HTTP {
		var match []string
		for _, m := range h.Match {
			match = append(match, strings.TrimSpace(m.Method.Exact+" "+m.URI.Prefix))
		}
		found = append(found, route{strings.Join(match, ", "), strconv.Itoa(1 + h.Retries.Attempts), h.Retries.PerTryTimeout, h.Timeout, h.Retries.RetryOn, h.Retries.Backoff})
	}
	return found
}

// caller returns the library's environment in a Deployment that has some numbers of its own.
func caller(t *testing.T, deployment string, library map[string]string) map[string]string {
	t.Helper()
	own := maps.Clone(library)
	for _, d := range manifest.Of[*appsv1.Deployment](load(t, filepath.Join(k8s, "scenarios/resilience/library"))) {
		if d.Name == deployment {
			for _, e := range d.Spec.Template.Spec.Containers[0].Env {
				own[e.Name] = e.Value
			}
		}
	}
	require.NotEqual(t, library, own, "%s has numbers of its own", deployment)
	return own
}

// configured returns the library's environment in an arm.
func configured(t *testing.T, arm string) map[string]string {
	t.Helper()
	found := manifest.Of[*corev1.ConfigMap](load(t, filepath.Join(k8s, "scenarios/resilience", arm)))
	require.Len(t, found, 1, "ConfigMaps of %s", arm)
	return found[0].Data
}

func matchPolicy(t *testing.T, object manifest.Object, library map[string]string) {
	t.Helper()
	var rule struct {
		Spec struct {
			TrafficPolicy struct {
				ConnectionPool struct {
					TCP  struct{ MaxConnections int }
					HTTP struct{ HTTP1MaxPendingRequests, HTTP2MaxRequests int }
				}
				RetryBudget      struct{ Percent int }
				OutlierDetection struct {
					Consecutive5xxErrors       int
					BaseEjectionTime, Interval string
					MaxEjectionPercent         int
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal(object.JSON, &rule))
	// These two are single endpoints that relay errors. Their callers in the library have the same setting.
	if object.Name == "fleetman-position-tracker" || object.Name == "fleetman-api-gateway" {
		library = maps.Clone(library)
		library["BREAKER_MAX_OPEN_PERCENT"] = "50"
	}
	pool, outlier := rule.Spec.TrafficPolicy.ConnectionPool, rule.Spec.TrafficPolicy.OutlierDetection
	for variable, got := range map[string]string{
		"BREAKER_FAILURES":         strconv.Itoa(outlier.Consecutive5xxErrors),
		"BREAKER_OPEN_TIME":        outlier.BaseEjectionTime,
		"BREAKER_MAX_OPEN_PERCENT": strconv.Itoa(outlier.MaxEjectionPercent),
		"BULKHEAD":                 strconv.Itoa(pool.TCP.MaxConnections),
		"RETRY_BUDGET_PERCENT":     strconv.Itoa(rule.Spec.TrafficPolicy.RetryBudget.Percent),
	} {
		assert.Equal(t, library[variable], got, "%s: %s of the library and of the mesh", object.Ref(), variable)
	}
	assert.Equal(t, pool.TCP.MaxConnections, pool.HTTP.HTTP1MaxPendingRequests, object.Ref())
	assert.Equal(t, pool.TCP.MaxConnections, pool.HTTP.HTTP2MaxRequests, object.Ref())
	// Envoy's maximum is 300 s
	assert.Equal(t, "10s", library["BREAKER_OPEN_TIME"])
	assert.Equal(t, "30", library["BREAKER_OPEN_GROWTH"])
}

// TestBoth checks that each number is set in one place.
func TestBoth(t *testing.T) {
	both, library := configured(t, "both"), configured(t, "library")
	for variable, want := range map[string]string{
		"RESILIENCE": "library", "BREAKER_SCOPE": "upstream", "RETRY_ATTEMPTS": "1", "ATTEMPT_TIMEOUT": library["UPSTREAM_TIMEOUT"],
	} {
		assert.Equal(t, want, both[variable], variable)
	}
	assert.Equal(t, "endpoint", library["BREAKER_SCOPE"], "of the library alone")
}
