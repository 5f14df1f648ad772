package observe_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/gin-gonic/gin"

	"fleetman.example/kit/apierror"
	"fleetman.example/kit/observe"
	"fleetman.example/kit/server/servertest"
)

func TestServerMetrics(t *testing.T) {
	o, lines := start(t)
	r := gin.New()
	r.Use(o.Middleware(true))
	r.GET("/driver/:name", func(c *gin.Context) {
		if c.Param("name") == "nobody" {
			apierror.Write(c, errors.New("the cause"))
		}
	})
	r.NoRoute(func(c *gin.Context) { c.Status(http.StatusNotFound) })
	for _, target := range []string{"/driver/City%20Truck", "/driver/London", "/driver/nobody", "/secret-1", "/secret-2/x"} {
		r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
	}
	for _, method := range []string{"BREW", "WHEN", "PROPFIND"} {
		r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, "/", nil))
	}
	checkMetrics(t, o, []string{
		`http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/driver/:name"} 2`,
		`http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="500",http_route="/driver/:name"} 1`,
		`http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="404",http_route=""} 2`,
		`http_server_request_duration_seconds_count{http_request_method="_OTHER",http_response_status_code="404",http_route=""} 3`,
		`http_server_request_duration_seconds_bucket{http_request_method="GET",http_response_status_code="200",http_route="/driver/:name",le="60"} 2`,
		"\ngo_goroutines ", `target_info{service_name="test"`,
	}, "City", "London", "secret", "BREW", "WHEN", "PROPFIND")
	got := lines()
	if len(got) != 1 || got[0]["msg"] != "request failed" || got[0]["error"] != "the cause" || got[0]["status"] != 500. || got[0]["path"] != "/driver/nobody" || got[0]["method"] != "GET" {
		t.Errorf("logged %v, want the one failure with its cause", got)
	}
}

func TestClientMetrics(t *testing.T) {
	o, _ := start(t)
	answer := func(status int, err error) http.RoundTripper {
		return roundTripper(func(*http.Request) (*http.Response, error) {
			if err != nil {
				return nil, err
			}
			return &http.Response{StatusCode: status, Body: http.NoBody}, nil
		})
	}
	for _, next := range []http.RoundTripper{answer(200, nil), answer(200, nil), answer(502, nil), answer(0, syscall.ECONNREFUSED)} {
		resp, err := o.Transport("staff-service", next).RoundTrip(httptest.NewRequest("GET", "http://10.0.0.1:8080/driver/City%20Truck", nil))
		if err == nil {
			resp.Body.Close()
		}
	}
	for _, method := range []string{"BREW", "WHEN"} { // a proxy forwards its callers' methods
		resp := servertest.Must(o.Transport("api-gateway", answer(405, nil)).RoundTrip(httptest.NewRequest(method, "http://10.0.0.1:8080/", nil)))
		resp.Body.Close()
	}
	checkMetrics(t, o, []string{
		`http_client_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",server_address="staff-service"} 2`,
		`http_client_request_duration_seconds_count{http_request_method="GET",http_response_status_code="502",server_address="staff-service"} 1`,
		`http_client_request_duration_seconds_count{error_type="connection refused",http_request_method="GET",server_address="staff-service"} 1`,
		`http_client_request_duration_seconds_count{http_request_method="_OTHER",http_response_status_code="405",server_address="api-gateway"} 2`,
	}, "City", "10.0.0.1", "BREW", "WHEN")
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// checkMetrics fails the test unless o's metrics have all of wants, and nothing of never.
func checkMetrics(t *testing.T, o *observe.Observer, wants []string, never ...string) {
	t.Helper()
	text := servertest.Metrics(t, o)
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, excerpt(text))
		}
	}
	for _, bad := range never {
		if strings.Contains(text, bad) {
			t.Errorf("%s is in the metrics", bad)
		}
	}
}

// excerpt returns the lines with the counts of requests.
func excerpt(metrics string) string {
	var b strings.Builder
	for line := range strings.Lines(metrics) {
		if strings.Contains(line, "duration_seconds_count") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// /metrics has a service's own instruments too.
func TestOwnInstruments(t *testing.T) {
	o, _ := start(t)
	o.Counter("fleetman.reports", "x").Add(t.Context(), 3)
	checkMetrics(t, o, []string{"\nfleetman_reports_total 3\n"})
}
