package lint

import (
	"fmt"
	"strings"
	"testing"
)

// shop has a Service payments of three hosts.
const shop = `apiVersion: apps/v1
kind: Deployment
metadata: {name: payments}
spec:
  replicas: 3
  template:
    metadata: {labels: {app: payments, version: v1}}
    spec:
      containers: [{name: payments, image: example/payments:1}]
---
apiVersion: v1
kind: Service
metadata: {name: payments}
spec:
  selector: {app: payments}
  ports: [{name: http, port: 8080}]
---
`

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
		{"all may be ejected", ejects("maxEjectionPercent: 100, minHealthPercent: 50"), "3", "ejected ones too; write minHealthPercent: 0\n"},
		{"one may be ejected", ejects("maxEjectionPercent: 50, minHealthPercent: 70"), "3", "write minHealthPercent: 0, or at most 66"},
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
			if len(got) != 1 || !strings.Contains(got[0]+"\n", test.want) {
				t.Errorf("%q, want one with %q", got, test.want)
			}
		})
	}
}
