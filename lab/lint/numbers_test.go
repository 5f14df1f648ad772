package lint

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shop has a Service payments of three hosts.
var shop = fleetOf("payments", "payments", "example/payments:1", 3)

// rule returns a DestinationRule or a VirtualService of payments.
func rule(kind, spec string) string {
	return "apiVersion: networking.istio.io/v1\nkind: " + kind + "\nmetadata: {name: payments}\nspec: {" + spec + "}\n---\n"
}

// said returns what one rule says, with what to write instead.
func said(findings []Finding, number string) []string {
	var all []string
	for _, f := range findings {
		if f.Rule == number {
			all = append(all, fmt.Sprintf("%s: %s; %s", f.Severity, f.Message, f.Instead))
		}
	}
	return all
}

// TestPatches: what an EnvoyFilter sets of the ejection is read with what a
// DestinationRule sets.
func TestPatches(t *testing.T) {
	const ejects = "host: payments, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 3}}"
	filter := func(match, value string) string {
		text := rule("EnvoyFilter", "configPatches: [{applyTo: CLUSTER, match: {"+match+"}, patch: {operation: MERGE, value: {"+value+"}}}]")
		return strings.Replace(text, "istio.io/v1\n", "istio.io/v1alpha3\n", 1)
	}
	const service = "cluster: {service: payments.default.svc.cluster.local}"
	for _, test := range []struct{ name, text, want string }{
		{"alone", filter(service, "outlier_detection: {consecutive_5xx: 3}"), "EnvoyFilter: may eject 10 % of them (max_ejection_percent by default)"},
		{"alone, every service", filter("context: SIDECAR_OUTBOUND", "outlierDetection: {consecutive5xx: 3, maxEjectionPercent: 20}"), "EnvoyFilter: may eject 20 % of them (max_ejection_percent)"},
		{"by a cluster's name", filter("cluster: {name: outbound|8080||payments.default.svc.cluster.local}", "outlier_detection: {max_ejection_percent: {value: 33}}"), "EnvoyFilter: may eject 33 %"},
		{"beside a rule", filter(service, "outlier_detection: {max_ejection_percent: 20}") + rule("DestinationRule", ejects), "EnvoyFilter: may eject 20 %"},
		{"the rule decides", filter(service, "outlier_detection: {failure_percentage_threshold: 50}") + rule("DestinationRule", ejects), "DestinationRule: may eject 10 %"},
		{"enough", filter(service, "outlier_detection: {max_ejection_percent: 34}") + rule("DestinationRule", ejects), ""},
		{"one always", filter(service, "outlierDetection: {alwaysEjectOneHost: true}") + rule("DestinationRule", ejects), ""},
		{"not one always", filter(service, "outlier_detection: {always_eject_one_host: false}") + rule("DestinationRule", ejects), "DestinationRule: may eject 10 %"},
		{"another service", filter("cluster: {service: staff.default.svc.cluster.local}", "outlier_detection: {consecutive_5xx: 3}"), ""},
		{"inbound", filter("context: SIDECAR_INBOUND", "outlier_detection: {consecutive_5xx: 3}"), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, f := range check(t, shop+test.text) {
				kind, _, _ := strings.Cut(f.Object, " ")
				got = append(got, kind+": "+strings.TrimPrefix(f.Message, "payments has 3 hosts and "))
			}
			text := strings.Join(got, "\n")
			assert.Equal(t, test.want != "", len(got) == 1, "%q", got)
			assert.True(t, strings.HasPrefix(text, test.want), "%q, want one that begins with %q", got, test.want)
		})
	}
}

// TestNumbers: what a finding says, and what it proposes, is right in its numbers.
func TestNumbers(t *testing.T) {
	route := func(rest string) string {
		return rule("VirtualService", "hosts: [payments], http: [{route: [{destination: {host: payments}}], "+rest+"}]")
	}
	ejects := func(detection string) string {
		return rule("DestinationRule", "host: payments, trafficPolicy: {outlierDetection: {"+detection+"}}")
	}
	for _, test := range []struct{ name, text, rule, want string }{
		{
			"1 retry does not fit: none is proposed", route("timeout: 3s, retries: {attempts: 1, perTryTimeout: 2s, retryOn: connect-failure}"), "5",
			"write perTryTimeout: 1.48s or less, or timeout: 4.025s",
		},
		{
			"no retry fits", route("timeout: 3s, retries: {attempts: 3, perTryTimeout: 2s, retryOn: connect-failure}"), "5",
			"write perTryTimeout: 700ms or less, or timeout: 8.175s",
		},
		{
			"one retry fits without its wait only", route("timeout: 4s, retries: {attempts: 3, perTryTimeout: 2s, retryOn: connect-failure}"), "5",
			"write perTryTimeout: 950ms or less, or timeout: 8.175s",
		},
		{
			"one retry fits", route("timeout: 5s, retries: {attempts: 3, perTryTimeout: 2s, retryOn: connect-failure}"), "5",
			"write perTryTimeout: 1.2s or less, attempts: 1, or timeout: 8.175s",
		},
		{"a small pool", ejects("consecutive5xxErrors: 3"), "1", "write maxEjectionPercent: 34 to 100\n"},
		{
			"one host", strings.Replace(ejects("consecutive5xxErrors: 3"), "host: payments", "host: staff", 1) + fleetOf("staff", "staff-service", "fleetman/staff-service:6", 1), "1",
			"write replicas: 2 or more, and maxEjectionPercent: 50 to 100\n",
		},
		{"all may be ejected", ejects("maxEjectionPercent: 100, minHealthPercent: 50"), "3", "ejected ones too; write minHealthPercent: 0\n"},
		{"one may be ejected", ejects("maxEjectionPercent: 50, minHealthPercent: 70"), "3", "write minHealthPercent: 0, or at most 66"},
		{
			"perTryTimeout with the default words", route("retries: {attempts: 3, perTryTimeout: 2s}"), "17",
			"not a try that took longer than perTryTimeout 2s: the caller gets 504, without a retry; write retryOn: reset,connect-failure,refused-stream\n",
		},
		{"attempts with the default words", route("retries: {attempts: 3}"), "17", ""},
		{
			"a wildcard", rule("DestinationRule", `host: "*.default.svc.cluster.local", trafficPolicy: {outlierDetection: {consecutive5xxErrors: 3}}`), "1",
			"payments has 3 hosts and may eject 10 % of them",
		},
		{"a wildcard of another namespace", rule("DestinationRule", `host: "*.shop.svc.cluster.local", trafficPolicy: {outlierDetection: {consecutive5xxErrors: 3}}`), "1", ""},
		{"a wildcard beside a rule of the host", rule("DestinationRule", `host: "*.local", trafficPolicy: {outlierDetection: {consecutive5xxErrors: 3}}`) + strings.Replace(ejects("maxEjectionPercent: 50"), "{name: payments}", "{name: own}", 1), "1", ""},
		// 6 tries on 3 hosts: 2 requests may make 4 errors on each.
		{
			"requests in a row", route("retries: {attempts: 5, retryOn: 5xx}") + ejects("maxEjectionPercent: 50"), "10",
			"3 such requests in a row eject the 1 host that may be ejected",
		},
		{
			"requests in a row, all hosts", route("retries: {attempts: 5, retryOn: 5xx}") + ejects("maxEjectionPercent: 100"), "10",
			"3 such requests in a row eject the 3 hosts that may be ejected",
		},
		{
			"no hosts in the manifests", rule("VirtualService", "hosts: [payments], http: [{route: [{destination: {host: payments, subset: v2}}], retries: {attempts: 2, retryOn: 5xx}}]") +
				rule("DestinationRule", "host: payments, subsets: [{name: v2, labels: {version: v2}}], trafficPolicy: {outlierDetection: {consecutive5xxErrors: 2}}"), "10",
			"warning: VirtualService payments: one request makes 3 tries, and 2 consecutive errors eject a host of payments, subset v2, whose number of hosts is not in the manifests: if it has 1,",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := said(check(t, shop+test.text), test.rule)
			if test.want == "" {
				assert.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			assert.Contains(t, got[0]+"\n", test.want)
		})
	}
}
