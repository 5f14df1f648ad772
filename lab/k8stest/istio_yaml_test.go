package k8stest

import (
	"encoding/json"
	"maps"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fleetman.example/lab/mesh/envoy"
)

// operator has the fields of k8s/istio.yaml that these tests use.
type operator struct {
	Spec struct {
		MeshConfig struct {
			AccessLogFile, AccessLogEncoding, AccessLogFormat string
			DefaultConfig                                     struct {
				ProxyStatsMatcher struct{ InclusionRegexps []string }
			}
		}
	}
}

func istioYAML(t *testing.T) (o operator) {
	t.Helper()
	parseYAML(t, read(t, k8s, "istio.yaml"), &o)
	return o
}

// TestAccessLog checks that proxies on a cluster log the same fields as those of the local mesh, so that both
// logs can be parsed alike.
func TestAccessLog(t *testing.T) {
	config := istioYAML(t).Spec.MeshConfig
	if config.AccessLogFile != "/dev/stdout" || config.AccessLogEncoding != "JSON" {
		t.Errorf("the log is %s, in %s", config.AccessLogFile, config.AccessLogEncoding)
	}
	var cluster, local map[string]string
	require.NoError(t, json.Unmarshal([]byte(config.AccessLogFormat), &cluster))
	require.NoError(t, json.Unmarshal([]byte(envoy.AccessLogFormat()), &local))
	if !maps.Equal(cluster, local) {
		t.Errorf("k8s/istio.yaml has %v, the local mesh %v", cluster, local)
	}
}

// TestStatsMatcher checks that proxies on a cluster have the counters that the local mesh reports. Istio's
// default has fewer.
func TestStatsMatcher(t *testing.T) {
	kept := regexp.MustCompile("^(?:" + strings.Join(istioYAML(t).Spec.MeshConfig.DefaultConfig.ProxyStatsMatcher.InclusionRegexps, "|") + ")$")
	const upstream = "cluster.outbound|8080||fleetman-staff-service.default.svc.cluster.local;."
	for _, counter := range []string{
		"upstream_rq_total", "upstream_rq_retry", "upstream_rq_retry_success", "upstream_rq_retry_overflow",
		"upstream_rq_pending_overflow", "upstream_cx_overflow", "outlier_detection.ejections_active",
		"outlier_detection.ejections_enforced_total", "upstream_rq_timeout", "circuit_breakers.default.rq_open", "tlsMode-istio.ssl.handshake", "upstream_rq_time",
	} {
		if !kept.MatchString(upstream + counter) {
			t.Errorf("%s is not kept", counter)
		}
	}
	if other := "server.days_until_first_cert_expiring"; kept.MatchString(other) {
		t.Errorf("%s is kept, want only the listed counters", other)
	}
}
