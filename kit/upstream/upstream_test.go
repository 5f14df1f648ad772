package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/observe"
	"fleetman.example/kit/server"
	"fleetman.example/kit/server/servertest"
	"fleetman.example/kit/upstream"
)

// client returns a client of the staff-service at address, configured by values.
func client(t *testing.T, address string, values map[string]string) *upstream.Client {
	t.Helper()
	cfg := servertest.Must(envtest.Read(values, upstream.ReadConfig))
	return upstream.NewSet(cfg, servertest.Observer(t), http.NewServeMux()).New("staff-service", servertest.Must(url.Parse(address)))
}

func TestAnswersBelow500(t *testing.T) {
	type seen struct{ method, target, body, contentType, host, agent string }
	var got seen
	s := servertest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = seen{r.Method, r.RequestURI, string(body), r.Header.Get("Content-Type"), r.Host, r.UserAgent()}
		status, _ := strconv.Atoi(r.Header.Get("X-Status"))
		w.Header().Set("Location", "/elsewhere")
		w.Header().Set("X-Fallback", "last-known")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "answer "+strings.Repeat("x", 5000))
	})
	c := client(t, s.URL+"/base", nil)
	for _, status := range []int{200, 201, 302, 400, 404, 418, 499} {
		ctx := observe.Carry(t.Context(), http.Header{"X-Status": {strconv.Itoa(status)}})
		resp, err := c.Do(ctx, "POST", "/vehicles/", []byte(`{"a":1}`))
		if err != nil {
			t.Fatal(err)
		}
		if resp.Status != status || string(resp.Body) != "answer "+strings.Repeat("x", 5000) || resp.Header.Get("X-Fallback") != "last-known" {
			t.Errorf("%d: got %d %.20q %v", status, resp.Status, resp.Body, resp.Header)
		}
		if want := (seen{"POST", "/base/vehicles/", `{"a":1}`, "application/json", s.Listener.Addr().String(), "fleetman"}); got != want {
			t.Errorf("sent %+v, want %+v", got, want)
		}
		if _, err := c.Do(ctx, "GET", "/x", nil); err != nil || got.body != "" || got.contentType != "" || got.method != "GET" {
			t.Errorf("without a body: sent %+v, %v", got, err)
		}
	}
}

// breakOff sends less than its Content-Length.
func breakOff(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Length", "100")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "half")
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func TestFailures(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, tc := range map[string]struct {
		answer  http.HandlerFunc // nil: nothing listens
		timeout string
		status  int
		cause   error // nil: not checked
		want    string
	}{
		"500":                 {answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, status: 500, want: "status 500"},
		"502 with a body":     {answer: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "x", http.StatusBadGateway) }, status: 502, want: "status 502"},
		"503, broken off":     {answer: func(w http.ResponseWriter, _ *http.Request) { breakOff(w, 503) }, status: 503, want: "status 503"},
		"200, broken off":     {answer: func(w http.ResponseWriter, _ *http.Request) { breakOff(w, 200) }, cause: io.ErrUnexpectedEOF, want: "connection closed"},
		"no answer":           {answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, cause: io.EOF, want: "connection closed"},
		"nobody listens":      {want: "connection refused"},
		"timed out":           {answer: hang, timeout: "10ms", cause: context.DeadlineExceeded, want: "no answer in time"},
		"timed out half-way":  {answer: func(w http.ResponseWriter, r *http.Request) { _ = http.NewResponseController(w).Flush(); hang(w, r) }, timeout: "50ms", cause: context.DeadlineExceeded, want: "no answer in time"},
		"an answer too large": {answer: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "67108865") }, want: "answer too large"},
	} {
		t.Run(name, func(t *testing.T) {
			address := "http://127.0.0.1:1" // refuses connections
			if tc.answer != nil {
				address = servertest.Serve(t, tc.answer).URL
			}
			resp, err := client(t, address, map[string]string{"UPSTREAM_TIMEOUT": tc.timeout}).Do(t.Context(), "GET", upstream.Path("driver", "City Truck"), nil)
			var failed *upstream.Error
			if resp != nil || !errors.As(err, &failed) {
				t.Fatalf("got %v, %v, want no answer and an upstream.Error", resp, err)
			}
			if want := tc.want + " reading staff-service GET /driver/City%20Truck"; err.Error() != want {
				t.Errorf("got  %q\nwant %q", err, want)
			}
			if failed.Status != tc.status || failed.HTTPStatus() != 500 {
				t.Errorf("got status %d, answered %d", failed.Status, failed.HTTPStatus())
			}
			if tc.cause != nil && !errors.Is(err, tc.cause) {
				t.Errorf("got cause %v, want %v", failed.Cause, tc.cause)
			}
		})
	}
}

func TestCallerLeft(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan struct{})
	s := servertest.Serve(t, func(_ http.ResponseWriter, r *http.Request) {
		leave()
		<-r.Context().Done() // the call ends at the upstream too
		close(gone)
	})
	_, err := client(t, s.URL, nil).Do(ctx, "GET", "/x", nil)
	if err == nil || err.Error() != "caller gone reading staff-service GET /x" || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-gone
}

func TestLargestAnswer(t *testing.T) {
	const most = 64 << 20
	piece := make([]byte, 1<<20)
	s := servertest.Serve(t, func(w http.ResponseWriter, r *http.Request) { // without a length
		for range most / len(piece) {
			_, _ = w.Write(piece)
		}
		if r.URL.Path == "/more" {
			_, _ = w.Write(piece[:1])
		}
	})
	c := client(t, s.URL, map[string]string{"UPSTREAM_TIMEOUT": "10m"})
	if resp, err := c.Do(t.Context(), "GET", "/most", nil); err != nil || len(resp.Body) != most {
		t.Errorf("64 MiB: got %v", err)
	}
	if _, err := c.Do(t.Context(), "GET", "/more", nil); err == nil || err.Error() != "answer too large reading staff-service GET /more" {
		t.Errorf("a byte more: got %v", err)
	}
}

// The upstream stops sending an answer that is too large.
func TestAnswerTooLarge(t *testing.T) {
	gone := make(chan struct{})
	s := servertest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(1<<30))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	})
	if _, err := client(t, s.URL, nil).Do(t.Context(), "GET", "/x", nil); err == nil || err.Error() != "answer too large reading staff-service GET /x" {
		t.Errorf("got %v", err)
	}
	<-gone
}

// A name is unchanged after client, network and router.
func TestNamesAreUnchanged(t *testing.T) {
	var target, name string
	r := server.NewApp(server.Config{MaxBody: 1}, servertest.Observer(t)).Router
	r.GET("/driver/:name", func(c *gin.Context) { target, name = c.Request.RequestURI, c.Param("name") })
	s := servertest.Serve(t, r.ServeHTTP)
	for given, want := range map[string]string{
		"City Truck": "/driver/City%20Truck",
		"100%":       "/driver/100%25",
		"%2F":        "/driver/%252F",
		"%41":        "/driver/%2541",
		"a?b=c":      "/driver/a%3Fb=c",
		"a#b":        "/driver/a%23b",
		"a;b":        "/driver/a%3Bb",
		"a+b":        "/driver/a+b",
		"a+b, c+d":   "/driver/a+b%2C%20c+d",
		"a&b=c@d:e$": "/driver/a&b=c@d:e$",
		"a/b":        "/driver/a%2Fb",
		`O'Neil "x"`: "/driver/O%27Neil%20%22x%22",
		"Łódź 卡车":    "/driver/%C5%81%C3%B3d%C5%BA%20%E5%8D%A1%E8%BD%A6",
		"...":        "/driver/...",
	} {
		path := upstream.Path("driver", given)
		if path != want {
			t.Errorf("%q: path %s, want %s", given, path, want)
		}
		target, name = "", ""
		resp, err := client(t, s.URL, nil).Do(t.Context(), "GET", path, nil)
		if err != nil || resp.Status != 200 || len(resp.Body) != 0 {
			t.Errorf("%q: got %v, %v", given, resp, err)
		}
		if target != path || name != given {
			t.Errorf("%q: arrived as %q, target %s", given, name, target)
		}
	}
}

func TestBaseWithAnEscapedPath(t *testing.T) {
	var target string
	s := servertest.Serve(t, func(_ http.ResponseWriter, r *http.Request) { target = r.RequestURI })
	if _, err := client(t, s.URL+"/a%2Fb%20c", nil).Do(t.Context(), "GET", "/d%2Fe", nil); err != nil || target != "/a%2Fb%20c/d%2Fe" {
		t.Errorf("got %s, %v", target, err)
	}
}

// A call propagates the headers of its request, except hop-by-hop headers.
func TestHeadersArePropagated(t *testing.T) {
	var got http.Header
	s := servertest.Serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header })
	ctx := observe.Carry(t.Context(), http.Header{"X-My-Header": {"canary", "two"}, "X-Fault": {"delay"}, "Cookie": {"c"}})
	if _, err := client(t, s.URL, nil).Do(ctx, "GET", "/", nil); err != nil {
		t.Fatal(err)
	}
	if values := got.Values("X-My-Header"); len(values) != 2 || values[0] != "canary" || values[1] != "two" || got.Get("X-Fault") != "" || got.Get("Cookie") != "" {
		t.Errorf("sent %v", got)
	}
}

// After answers of every kind the connection can be reused, and no goroutine remains.
func TestNothingLeaks(t *testing.T) {
	before := runtime.NumGoroutine()
	var connections atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.URL.Path[1:])
		w.WriteHeader(status)
		_, _ = w.Write(bytes.Repeat([]byte("x"), 10_000)) // chunked
		_ = http.NewResponseController(w).Flush()
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	c := client(t, s.URL, nil)
	const rounds = 20
	for range rounds {
		for _, path := range []string{"/200", "/404", "/500", "/503"} {
			resp, err := c.Do(t.Context(), "POST", path, []byte("{}"))
			if good := path < "/500"; good != (err == nil) || good && len(resp.Body) != 10_000 {
				t.Fatalf("%s: got %v", path, err)
			}
		}
	}
	// One, but net/http opens another if the goroutine that has sent a request does not run for 50 ms. Answers of one
	// kind that prevent the reuse open one in each round.
	if n := connections.Load(); n >= rounds {
		t.Errorf("%d connections for calls one after another, want 1", n)
	}
	s.Close()
	servertest.Eventually(t, "as few goroutines as before", func() bool { return runtime.NumGoroutine() <= before })
}

func TestConfig(t *testing.T) {
	if cfg, err := envtest.Read(nil, upstream.ReadConfig); err != nil || cfg.Timeout != time.Minute || cfg.HostsFile != "" {
		t.Errorf("got %+v, %v", cfg, err)
	}
	envtest.Refuses(t, map[string]string{"UPSTREAM_TIMEOUT": "0s"}, upstream.ReadConfig, `UPSTREAM_TIMEOUT: "0s": must be a duration from 1ms to 10m`)
	envtest.Refuses(t, map[string]string{"RESILIENCE": "library", "UPSTREAM_TIMEOUT": "500ms", "RETRY_BACKOFF": "1s", "RETRY_BACKOFF_MAX": " "}, upstream.ReadConfig,
		"ATTEMPT_TIMEOUT: 1s (default): must be at most UPSTREAM_TIMEOUT, 500ms", "RETRY_BACKOFF_MAX: 250ms (default): must be at least RETRY_BACKOFF, 1s")
	envtest.Refuses(t, map[string]string{"UPSTREAM_TIMEOUT": "1s", "ATTEMPT_TIMEOUT": "2s"}, upstream.ReadConfig, `ATTEMPT_TIMEOUT: "2s": must be at most UPSTREAM_TIMEOUT, 1s`)
	if _, err := envtest.Read(map[string]string{"RESILIENCE": "off", "UPSTREAM_TIMEOUT": "1s", "ATTEMPT_TIMEOUT": "2s"}, upstream.ReadConfig); err != nil {
		t.Errorf("off compares the values of stages: %v", err)
	}
}
