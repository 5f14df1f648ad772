package server_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"fleetman.example/kit/server/servertest"
)

// A foreign page in a browser on this machine can neither change faults nor read anything.
func TestForeignPages(t *testing.T) {
	for _, tc := range []struct {
		name, addr, method, host string
		header                   http.Header
		status                   int
		body                     string // a part of it
	}{
		{"curl", "127.0.0.1:0", "PUT", "", nil, 200, `"rules":[]`},
		{"localhost", "127.0.0.1:0", "GET", "localhost:9090", nil, 200, `"rules":[]`},
		{"IPv6", "[::1]:0", "GET", "", nil, 200, `"rules":[]`},
		{"no port", "127.0.0.1:0", "GET", "127.0.0.1", nil, 200, `"rules":[]`},
		{"a Service", "127.0.0.1:0", "GET", "fleetman-staff-service:9090", nil, 200, `"rules":[]`},
		{"a name of localhost", "127.0.0.1:0", "GET", "fleet.localhost", nil, 200, `"rules":[]`},
		{"a Service's namespace", "127.0.0.1:0", "GET", "staff.default.svc:9090", nil, 200, `"rules":[]`},
		{"a Service's full name", "127.0.0.1:0", "GET", "staff.default.svc.cluster.local.", nil, 200, `"rules":[]`},
		{"its own page", "127.0.0.1:0", "DELETE", "", http.Header{"Sec-Fetch-Site": {"same-origin"}}, 200, `"rules":[]`},
		{"another site's change", "127.0.0.1:0", "POST", "", http.Header{"Origin": {"https://evil.example"}}, 403, `"message":"Origin: https://evil.example: must be this listener's own"`},
		{"another port's change", "127.0.0.1:0", "PUT", "", http.Header{"Origin": {"http://127.0.0.1:1"}}, 403, `"message":"Origin: http://127.0.0.1:1: must be this listener's own"`},
		{"a page without an origin", "127.0.0.1:0", "DELETE", "", http.Header{"Origin": {"null"}}, 403, `"message":"Origin: null: `},
		{"with Sec-Fetch-Site", "127.0.0.1:0", "PUT", "", http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403, `"message":"Origin: `},
		{"rebinding reads", "127.0.0.1:0", "GET", "rebind.evil.example:9090", nil, 403, `"message":"Host: rebind.evil.example:9090: must be an address, localhost or a name of the cluster"`},
		{"rebinding changes", "127.0.0.1:0", "PUT", "rebind.evil.example", nil, 403, `"message":"Host: rebind.evil.example: `},
		{"a name that begins as an address", "127.0.0.1:0", "GET", "127.0.0.1.evil.example", nil, 403, `"message":"Host: 127.0.0.1.evil.example: `},
		{"everywhere, any name", ":0", "GET", "metrics.fleet.example", nil, 200, `"rules":[]`},
		{"everywhere, another site's change", ":0", "PUT", "", http.Header{"Origin": {"https://evil.example"}}, 403, `"message":"Origin: https://evil.example: `},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := servertest.Start(t, servertest.Routes(root), map[string]string{"ADMIN_ADDR": tc.addr})
			req := servertest.Must(http.NewRequest(tc.method, s.AdminURL+"/faults", strings.NewReader("")))
			req.Host = tc.host
			maps.Copy(req.Header, tc.header)
			servertest.Do(t, req).Has(t, tc.status, tc.body)
		})
	}
}
