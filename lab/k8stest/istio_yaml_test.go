package k8stest

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

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
			ExtensionProviders []struct {
				Name          string
				Opentelemetry struct {
					Service string
					Port    int
				}
			}
			DefaultProviders struct{ Tracing []string }
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
	assert.Equal(t, "/dev/stdout", config.AccessLogFile)
	assert.Equal(t, "JSON", config.AccessLogEncoding)
	assert.JSONEq(t, envoy.AccessLogFormat(), config.AccessLogFormat)
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
		assert.Regexp(t, kept, upstream+counter, "kept")
	}
	assert.NotRegexp(t, kept, "server.days_until_first_cert_expiring", "only the listed counters are kept")
}
