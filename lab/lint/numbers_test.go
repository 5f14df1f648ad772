package lint

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/golden"
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
	var tests []struct{ Name, Route, Ejection, Objects, Rule, Want string }
	golden.Cases(t, "testdata/numbers.yaml", &tests)
	for _, test := range tests {
		text := shop
		if test.Route != "" {
			text += rule("VirtualService", "hosts: [payments], http: [{route: [{destination: {host: payments}}], "+test.Route+"}]")
		}
		if test.Ejection != "" {
			text += rule("DestinationRule", "host: payments, trafficPolicy: {outlierDetection: {"+test.Ejection+"}}")
		}
		t.Run(test.Name, func(t *testing.T) {
			got := said(check(t, text+test.Objects), test.Rule)
			if test.Want == "" {
				assert.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			assert.Contains(t, got[0]+"\n", test.Want)
		})
	}
}
