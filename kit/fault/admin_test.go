package fault_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"fleetman.example/kit/env"
	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/fault"
	"fleetman.example/kit/server"
	"fleetman.example/kit/server/servertest"
)

// run runs a service that answers with the body of the request.
var run = servertest.Routes(func(r server.Router) {
	r.Any("/driver/:name", func(c *gin.Context) {
		body, err := server.JSONBody(c)
		if c.Request.Method != http.MethodGet && err != nil {
			c.String(http.StatusRequestEntityTooLarge, err.Error())
			return
		}
		c.String(http.StatusOK, "served "+string(body))
	})
})

// rulesIn returns the rules in an answer of the admin listener, each as "matched/fired rule".
func rulesIn(t *testing.T, a servertest.Answer) (rules []string) {
	t.Helper()
	var state struct {
		Seed  json.Number
		Rules []struct {
			Rule           string
			Matched, Fired int
		}
	}
	if err := json.Unmarshal([]byte(a.Body), &state); err != nil || a.Status != 200 || state.Seed == "0" || a.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %v %s: %v", a.Status, a.Header, a.Body, err)
	}
	for _, r := range state.Rules {
		rules = append(rules, fmt.Sprintf("%d/%d %s", r.Matched, r.Fired, r.Rule))
	}
	return rules
}

func TestAdmin(t *testing.T) {
	s := servertest.Start(t, run, map[string]string{"FAULTS": "status=502,path=/driver/,count=1", "FAULTS_SEED": "42"})
	const first = "status=502,path=/driver/,count=1"
	call := func(want int) {
		t.Helper()
		s.Call(t, "GET", "/driver/x", "").Has(t, want, "")
	}
	is := func(a servertest.Answer, want ...string) {
		t.Helper()
		if got := rulesIn(t, a); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	put := func(rules string) servertest.Answer { return s.Admin(t, "PUT", "/faults", rules) }
	get := func() servertest.Answer { return s.Admin(t, "GET", "/faults", "") }

	is(get(), "0/0 "+first)
	get().Has(t, 200, `{"seed":42,`)
	call(502)
	call(200)
	is(get(), "2/1 "+first)

	for _, bad := range []struct {
		rules  string
		status int
		want   string
	}{
		{"status=99", 400, `"rule 1 (status=99): status: \"99\": must be an HTTP status from 200 to 599"`},
		{"reset;delay", 400, `"rule 2 (delay): delay: \"\": must be a duration`},
		{strings.Repeat("reset;", 20_000), 413, "body: too large: must be at most 65536 bytes of rules"},
	} {
		put(bad.rules).Has(t, bad.status, bad.want)
		is(get(), "2/1 "+first)
	}

	is(put("status=503;truncate,rate=0"), "0/0 status=503", "0/0 truncate,rate=0")
	call(503)
	is(get(), "1/1 status=503", "1/0 truncate,rate=0")
	is(put(""))
	call(200)
	is(put("status=503"), "0/0 status=503")
	is(s.Admin(t, "DELETE", "/faults", ""))
	call(200)
	get().Has(t, 200, `"rules":[]`)

	s.Admin(t, "POST", "/faults", "reset").Has(t, 405, `"method POST not supported here"`, "Allow", "GET, PUT, DELETE")
}

// The admin listener cannot be reached through the service's port.
func TestAdminIsNotOnTheServicesPort(t *testing.T) {
	s := servertest.Start(t, run, nil)
	for _, target := range []string{"/faults", "//faults", "/faults/", "/driver/../faults"} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			s.Call(t, method, target, "reset").Has(t, 404, "")
		}
	}
	if a := s.Admin(t, "GET", "/faults", ""); len(rulesIn(t, a)) != 0 {
		t.Errorf("rules in force: %s", a.Body)
	}
}

// A change needs the token, or, without a token, a listener on loopback.
func TestToken(t *testing.T) {
	for _, tc := range []struct {
		name, addr, token string
		with              string // Authorization header
		changed           bool
	}{
		{"loopback", "127.0.0.1:0", "", "", true},
		{"IPv6 loopback", "[::1]:0", "", "", true},
		{"loopback, without", "127.0.0.1:0", "secret", "", false},
		{"loopback, with", "127.0.0.1:0", "secret", "Bearer secret", true},
		{"IPv6 loopback, wrong", "[::1]:0", "secret", "Bearer x", false},
		{"everywhere, no token set", ":0", "", "", false},
		{"everywhere, no token set, an empty one given", ":0", "", "Bearer ", false},
		{"everywhere, without", ":0", "secret", "", false},
		{"everywhere, wrong", ":0", "secret", "Bearer secret2", false},
		{"everywhere, another scheme", ":0", "secret", "Basic secret", false},
		{"everywhere, with", ":0", "secret", "Bearer secret", true},
		{"everywhere, the scheme in small letters", ":0", "secret", "bearer secret", true},
		{"all of IPv4, without", "0.0.0.0:0", "secret", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := servertest.Start(t, run, map[string]string{"ADMIN_ADDR": tc.addr, "ADMIN_TOKEN": tc.token, "FAULTS": "delay=1ms"})
			var header []string
			if tc.with != "" {
				header = []string{"Authorization", tc.with}
			}
			for method, left := range map[string]string{"PUT": "[0/0 reset,path=/x]", "DELETE": "[]"} {
				a := s.Admin(t, method, "/faults", "reset,path=/x", header...)
				if tc.changed {
					if got := fmt.Sprint(rulesIn(t, a)); got != left {
						t.Errorf("%s: got %s, want %s", method, got, left)
					}
					continue
				}
				a.Has(t, 401, "Authorization: must be Bearer and the token of ADMIN_TOKEN", "WWW-Authenticate", "Bearer")
				if got := fmt.Sprint(rulesIn(t, s.Admin(t, "GET", "/faults", ""))); got != "[0/0 delay=1ms]" {
					t.Errorf("after a refused %s the rules are %s", method, got)
				}
			}
			if strings.Contains(s.Log(), "secret") {
				t.Errorf("the log has the token:\n%s", s.Log())
			}
		})
	}
}

// Faults apply to all routes, and do not change the body of a request.
func TestInAService(t *testing.T) {
	s := servertest.Start(t, run, map[string]string{"FAULTS": "delay=1ms", "MAX_BODY_BYTES": "10"})
	s.Call(t, "POST", "/driver/x", `"0123"`).Is(t, 200, `served "0123"`, fault.Header, "delay")
	s.Call(t, "POST", "/driver/x", `"0123456789"`).Has(t, 413, `"message":"body: too large: must be at most 10 bytes"`)
	s.Admin(t, "PUT", "/faults", "status=500,path=/driver/,method=POST")
	for _, target := range []string{"/driver/x", "/driver/x/", "//driver/x"} {
		s.Call(t, "POST", target, `"0123"`).Is(t, 500, "", fault.Header, "status")
	}
	s.Call(t, "POST", "/elsewhere", `"0123"`).Has(t, 404, "", fault.Header, "")
	a := servertest.Answer{}
	servertest.Eventually(t, "counted", func() bool {
		a = s.Admin(t, "GET", "/metrics", "")
		return strings.Contains(a.Body, `fleetman_faults_total{fleetman_fault="status"`)
	})
	a.Has(t, 200, `http_server_request_duration_seconds_count{fleetman_fault="status",http_request_method="POST",http_response_status_code="500",http_route="/driver/:name"`)
}

// An idle connection of a service is closed.
func TestIdleInAService(t *testing.T) {
	const request = "GET /driver/x HTTP/1.1\r\nHost: x\r\n\r\n"
	s := servertest.Start(t, run, map[string]string{"FAULTS": "idle=0s"})
	conn := servertest.Dial(t, s.URL, request)
	servertest.ReadAnswer(t, conn, request).Is(t, 200, "served ")
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the connection's end", err)
	}
}

func TestBadFaultsInTheEnvironment(t *testing.T) {
	read := func(r *env.Reader) server.Config { return server.ReadConfig(r, ":8080") }
	envtest.Refuses(t, map[string]string{"FAULTS": "status=502;slow", "FAULTS_SEED": "-1"}, read,
		`FAULTS: "status=502;slow": rule 2 (slow): slow: "": must be bytes per second, at least 1`, `FAULTS_SEED: "-1": must be a whole number`)
}
