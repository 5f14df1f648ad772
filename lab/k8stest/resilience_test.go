package k8stest

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"fleetman.example/lab/manifest"
)

// TestMatched holds the mesh's policies against the library's, number by
// number, as k8s/scenarios/resilience/README.md promises.
func TestMatched(t *testing.T) {
	library := configured(t, "library")
	var policies, routes int
	for _, object := range load(t, filepath.Join(k8s, "scenarios/resilience/mesh")).All {
		switch object.Kind {
		case "DestinationRule":
			policies++
			matchPolicy(t, object, library)
		case "VirtualService":
			if object.Name == "fleetman-staff-service" || object.Name == "fleetman-vehicle-telemetry" {
				routes++
				matchRoute(t, object, library)
			}
		}
	}
	if policies != 4 || routes != 2 {
		t.Errorf("%d policies and %d routes compared, want 4 and 2", policies, routes)
	}
}

// configured is the arm's environment of the library.
func configured(t *testing.T, arm string) map[string]string {
	t.Helper()
	found := manifest.Of[*corev1.ConfigMap](load(t, filepath.Join(k8s, "scenarios/resilience", arm)))
	if len(found) != 1 {
		t.Fatalf("%d ConfigMaps in %s, want one", len(found), arm)
	}
	return found[0].Data
}

func matchPolicy(t *testing.T, object manifest.Object, library map[string]string) {
	t.Helper()
	var rule struct {
		Spec struct {
			TrafficPolicy struct {
				ConnectionPool struct {
					TCP  struct{ MaxConnections int }
					HTTP struct{ HTTP1MaxPendingRequests, HTTP2MaxRequests, MaxRetries int }
				}
				OutlierDetection struct {
					Consecutive5xxErrors       int
					BaseEjectionTime, Interval string
					MaxEjectionPercent         int
				}
			}
		}
	}
	if err := json.Unmarshal(object.JSON, &rule); err != nil {
		t.Fatal(err)
	}
	// these two relay others' errors and stand alone; their callers in the
	// library have the same
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
		// of BULKHEAD, which is 100
		"RETRY_BUDGET_PERCENT": strconv.Itoa(pool.HTTP.MaxRetries),
	} {
		if want := library[variable]; got != want {
			t.Errorf("%s: the mesh has %s, the library %s=%s", object.Ref(), got, variable, want)
		}
	}
	if pool.HTTP.HTTP1MaxPendingRequests != pool.TCP.MaxConnections || pool.HTTP.HTTP2MaxRequests != pool.TCP.MaxConnections {
		t.Errorf("%s: bulkheads %+v", object.Ref(), pool)
	}
	// Envoy's cap is 300 s
	if library["BREAKER_OPEN_GROWTH"] != "30" || library["BREAKER_OPEN_TIME"] != "10s" {
		t.Errorf("the library opens for %s times %s, Envoy for 300 s at most", library["BREAKER_OPEN_GROWTH"], library["BREAKER_OPEN_TIME"])
	}
}

func matchRoute(t *testing.T, object manifest.Object, library map[string]string) {
	t.Helper()
	var rule struct {
		Spec struct {
			HTTP []struct {
				Name, Timeout string
				Retries       struct {
					Attempts                        int
					PerTryTimeout, RetryOn, Backoff string
				}
			}
		}
	}
	if err := json.Unmarshal(object.JSON, &rule); err != nil {
		t.Fatal(err)
	}
	repeated, once := rule.Spec.HTTP[0], rule.Spec.HTTP[1]
	for variable, got := range map[string]string{
		"RETRY_ATTEMPTS":   strconv.Itoa(1 + repeated.Retries.Attempts),
		"RETRY_BACKOFF":    repeated.Retries.Backoff,
		"ATTEMPT_TIMEOUT":  repeated.Retries.PerTryTimeout,
		"UPSTREAM_TIMEOUT": repeated.Timeout,
	} {
		if want := library[variable]; got != want {
			t.Errorf("%s: the mesh has %s, the library %s=%s", object.Ref(), got, variable, want)
		}
	}
	if repeated.Retries.RetryOn != "5xx,reset,connect-failure" || library["RETRY_BACKOFF_MAX"] != "250ms" {
		t.Errorf("%s: retried on %s, back-off up to %s; Envoy's is ten times %s", object.Ref(), repeated.Retries.RetryOn, library["RETRY_BACKOFF_MAX"], repeated.Retries.Backoff)
	}
	if once.Retries.Attempts != 0 || once.Timeout != library["ATTEMPT_TIMEOUT"] {
		t.Errorf("%s: route %s tries %d more times within %s; a call that is not safe to repeat has one try of %s", object.Ref(), once.Name, once.Retries.Attempts, once.Timeout, library["ATTEMPT_TIMEOUT"])
	}
}

// TestBoth: each number stands in one place.
func TestBoth(t *testing.T) {
	both, library := configured(t, "both"), configured(t, "library")
	for variable, want := range map[string]string{
		"RESILIENCE": "library", "BREAKER_SCOPE": "upstream", "RETRY_ATTEMPTS": "1", "ATTEMPT_TIMEOUT": library["UPSTREAM_TIMEOUT"],
	} {
		if both[variable] != want {
			t.Errorf("%s=%s, want %s", variable, both[variable], want)
		}
	}
	if library["BREAKER_SCOPE"] != "endpoint" {
		t.Errorf("the library's breakers have the scope %s, want endpoint", library["BREAKER_SCOPE"])
	}
}
