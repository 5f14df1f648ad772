package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/observe"
	"fleetman.example/kit/server"
)

const indexHTML = `<html data-variant="standard"><title>Fleet Management</title></html>`

var (
	script = strings.Repeat("console.log('fleet');\n", 100)
	dist   = fstest.MapFS{
		".gitkeep":             {},
		"index.html":           {Data: []byte(indexHTML)},
		"favicon.svg":          {Data: []byte("<svg/>")},
		"assets/index-abc1.js": {Data: []byte(script)},
	}
)

// start starts the webapp with a gateway, configured by name=value pairs.
func start(t *testing.T, gateway http.Handler, pairs ...string) string {
	t.Helper()
	g := httptest.NewServer(gateway)
	t.Cleanup(g.Close)
	return servePage(t, append([]string{"API_GATEWAY_URL=" + g.URL}, pairs...)...)
}

func servePage(t *testing.T, pairs ...string) string {
	t.Helper()
	return serveFrom(t, dist, pairs...)
}

func serveFrom(t *testing.T, dist fs.FS, pairs ...string) string {
	t.Helper()
	values := make(map[string]string)
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
	}
	cfg, err := envtest.Read(values, readConfig)
	if err != nil {
		t.Fatal(err)
	}
	page, err := newPage(dist, cfg.variant, cfg.photoOrigins)
	if err != nil {
		t.Fatal(err)
	}
	o, err := observe.Start(t.Context(), "webapp", envtest.Map(nil), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Shutdown(context.Background()) })
	app := server.NewApp(cfg.Config, o)
	s := httptest.NewServer(api{page: page, gateway: newForwarder(cfg, app)}.routes(app.Router))
	t.Cleanup(s.Close)
	return s.URL
}

// nobody is a gateway that must not be called.
func nobody(t *testing.T) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("gateway got %s %s, want no call", r.Method, r.URL)
	})
}

// raw sends a request without normalizing its path and headers.
func raw(t *testing.T, base, request string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
	head, body, _ := strings.Cut(request, "\n\n")
	fmt.Fprintf(conn, "%s\r\n\r\n%s", strings.ReplaceAll(head, "\n", "\r\n"), body)
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: %v", head, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", head, err)
	}
	return resp, string(answer)
}

func get(t *testing.T, base, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	lines := append([]string{"GET " + path + " HTTP/1.1", "Host: fleet.example"}, headers...)
	return raw(t, base, strings.Join(lines, "\n")+"\n\n")
}

// checkError compares an answer with the contract's error shape.
func checkError(t *testing.T, resp *http.Response, body string, status int, message, path string) {
	t.Helper()
	var got struct {
		Timestamp, Error, Message, Path string
		Status                          int
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("body %q: %v", body, err)
	}
	if resp.StatusCode != status || got.Status != status || got.Error != http.StatusText(status) || got.Message != message || got.Path != path {
		t.Errorf("status %d, body %s, want %d, message %q, path %q", resp.StatusCode, body, status, message, path)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000-0700", got.Timestamp); err != nil {
		t.Error(err)
	}
}

func TestForwardKeepsThePath(t *testing.T) {
	g := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s at http://%s", r.Method, r.RequestURI, r.Host)
	}))
	t.Cleanup(g.Close)
	base := servePage(t, "API_GATEWAY_URL="+g.URL)
	for _, tt := range []struct{ path, want string }{
		{"/api/vehicles/", "/vehicles/"},
		{"/api/vehicles", "/vehicles"},
		{"/api/vehicles/driver/City%20Truck", "/vehicles/driver/City%20Truck"},
		{"/api/vehicles/driver/Huddersfield%20Truck%20%41", "/vehicles/driver/Huddersfield%20Truck%20%41"},
		{"/api/history/a%2Fb%2e%2E", "/history/a%2Fb%2e%2E"},
		{"/api/history/a/../b", "/history/a/../b"},
		{"/api", "/"},
		{"/api/", "/"},
		{"/api//vehicles//", "//vehicles//"},
		{"//api/vehicles/", "/vehicles/"},
		{"/api/api/x", "/api/x"},
		{"/api/vehicles/?a=1;b=%zz&c=%20+", "/vehicles/?a=1;b=%zz&c=%20+"},
		{"http://fleet.example/api/vehicles/", "/vehicles/"},
	} {
		resp, body := get(t, base, tt.path)
		if want := "GET " + tt.want + " at " + g.URL; resp.StatusCode != 200 || body != want {
			t.Errorf("%s: status %d, body %q, want 200, %q", tt.path, resp.StatusCode, body, want)
		}
	}
}

func TestForwardKeepsMethodAndBody(t *testing.T) {
	base := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/x-test")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %q %s", r.Method, body, r.Header.Get("Content-Type"))
	}))
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		resp, body := raw(t, base, method+" /api/x HTTP/1.1\nHost: h\nContent-Type: text/plain\nContent-Length: 5\n\nhello")
		if want := method + ` "hello" text/plain`; resp.StatusCode != 418 || body != want || resp.Header.Get("Content-Type") != "text/x-test" {
			t.Errorf("%s: status %d, type %q, body %q, want 418, text/x-test, %q", method, resp.StatusCode, resp.Header.Get("Content-Type"), body, want)
		}
	}
}

// An outside caller cannot shorten attempts: with the library on, a gateway that answers in its time remains
// reachable for all callers.
func TestOutsideTimeoutIsIgnored(t *testing.T) {
	base := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(100 * time.Millisecond):
			_, _ = io.WriteString(w, "[]")
		case <-r.Context().Done():
		}
	}), "RESILIENCE=library")
	for range 5 {
		if resp, body := get(t, base, "/api/vehicles/", "X-Envoy-Expected-Rq-Timeout-Ms: 40"); resp.StatusCode != 200 || body != "[]" {
			t.Errorf("got %d %s", resp.StatusCode, body)
		}
	}
}

func TestForwardHeaders(t *testing.T) {
	for _, tt := range []struct {
		propagate string
		want      map[string][]string
	}{
		{"true", map[string][]string{
			"Accept": {"text/html"}, "Authorization": {"Basic x"}, "X-Two": {"a", "b"}, "X-Forwarded-For": {"10.0.0.1"},
			"B3": {"1-2"}, "Baggage": {"k=v"}, "X-Envoy-Expected-Rq-Timeout-Ms": nil, "X-Envoy-Retry-On": nil, "X-Forwarded-Client-Cert": nil, "X-Fault": nil, "Keep-Alive": nil, "Proxy-Authorization": nil,
		}},
		{"false", map[string][]string{
			"Accept": {"text/html"}, "Authorization": {"Basic x"}, "X-Two": nil, "X-Forwarded-For": nil, "B3": nil, "Baggage": nil,
		}},
	} {
		var got http.Header
		base := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r.Header
			w.Header().Set("X-Fallback", "last-known; age=12s")
			w.Header().Set("Access-Control-Allow-Origin", "*")
		}), "PROPAGATE_HEADERS="+tt.propagate)
		resp, body := get(t, base, "/api/vehicles/", "Accept: text/html", "Authorization: Basic x", "x-two: a", "X-Two: b",
			"X-Forwarded-For: 10.0.0.1", "b3: 1-2", "baggage: k=v", "x-envoy-expected-rq-timeout-ms: 9000", "X-Envoy-Retry-On: 5xx", "X-Forwarded-Client-Cert: By=spiffe://x", "X-Fault: delay", "Keep-Alive: 5", "Proxy-Authorization: y")
		if resp.StatusCode != 200 || body != "" {
			t.Errorf("got status %d, body %q, want 200 and an empty body", resp.StatusCode, body)
		}
		for name, want := range tt.want {
			if !slices.Equal(got[name], want) {
				t.Errorf("PROPAGATE_HEADERS=%s: gateway got %s %q, want %q", tt.propagate, name, got[name], want)
			}
		}
		if a, f := resp.Header.Values("Access-Control-Allow-Origin"), resp.Header.Get("X-Fallback"); !slices.Equal(a, []string{"*"}) || f != "last-known; age=12s" {
			t.Errorf("got headers %q, %q, want those of the gateway", a, f)
		}
	}
}

func TestForwardBoundsTheBody(t *testing.T) {
	base := start(t, nobody(t), "MAX_BODY_BYTES=4")
	resp, body := raw(t, base, "POST /api/vehicles/ HTTP/1.1\nHost: h\nContent-Length: 5\n\nhello")
	checkError(t, resp, body, 413, "body: too large: must be at most 4 bytes", "/api/vehicles/")

	resp, body = raw(t, base, "POST /api/vehicles/ HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n5\r\nhello\r\n0\r\n\r\n")
	checkError(t, resp, body, 413, "body: too large: must be at most 4 bytes", "/api/vehicles/")
}

// The time of a slow body does not count as the gateway's and does not affect other callers.
func TestSlowUploadIsNotTheGatewaysFault(t *testing.T) {
	base := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}), "RESILIENCE=library", "UPSTREAM_TIMEOUT=1s", "ATTEMPT_TIMEOUT=500ms", "BREAKER_FAILURES=1", "FALLBACK=false")
	part, sender := io.Pipe()
	answered := make(chan string, 1)
	go func() {
		resp, err := http.Post(base+"/api/vehicles/", "application/json", part)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		answered <- fmt.Sprint(resp.StatusCode, " ", string(body), " ", err)
	}()
	if _, err := io.WriteString(sender, "slow"); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); time.Since(begin) < 1500*time.Millisecond; {
		if resp, body := get(t, base, "/api/"); resp.StatusCode != 200 {
			t.Fatalf("meanwhile: %d %s", resp.StatusCode, body)
		}
	}
	_, _ = io.WriteString(sender, " and whole")
	sender.Close()
	if got := <-answered; got != "200 slow and whole <nil>" {
		t.Errorf("got %s", got)
	}
}

func TestForwardKeepsTheGatewaysError(t *testing.T) {
	const answer = `{"timestamp":"2023-11-07T07:49:21.555+0000","status":500,"error":"Internal Server Error","message":"status 502 reading staff-service GET /driver/City%20Truck","path":"/vehicles/driver/City%20Truck"}`
	base := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		_, _ = io.WriteString(w, answer)
	}))
	resp, body := get(t, base, "/api/vehicles/driver/City%20Truck")
	if resp.StatusCode != 500 || body != answer {
		t.Errorf("got status %d, body %s, want the gateway's answer", resp.StatusCode, body)
	}
}

func TestForwardWithoutAnAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	base := servePage(t, "API_GATEWAY_URL="+l.Addr().String())
	resp, body := get(t, base, "/api/vehicles/driver/City%20Truck?x=1")
	checkError(t, resp, body, 500, "connection refused reading api-gateway GET /vehicles/driver/City%20Truck", "/api/vehicles/driver/City%20Truck")

	base = start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), "UPSTREAM_TIMEOUT=20ms")
	resp, body = get(t, base, "/api/vehicles/")
	checkError(t, resp, body, 500, "no answer in time reading api-gateway GET /vehicles/", "/api/vehicles/")
}

func TestForwardStreams(t *testing.T) {
	seen := make(chan struct{})
	base := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-seen:
			_, _ = io.WriteString(w, " second")
		case <-r.Context().Done():
		}
	}))
	resp, err := http.Get(base + "/api/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, len("first"))
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "first" {
		t.Fatalf("read %q, %v before the answer's end", first, err)
	}
	close(seen)
	rest, err := io.ReadAll(resp.Body)
	if err != nil || string(rest) != " second" {
		t.Errorf("got %q, %v, want the second part", rest, err)
	}
}

func TestForwardAbortsAnIncompleteAnswer(t *testing.T) {
	base := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	resp, err := http.Get(base + "/api/vehicles/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("got %q without an error, want an error", body)
	}
}

func TestPage(t *testing.T) {
	base := start(t, nobody(t))
	const again, keep = "no-cache", "public, max-age=31536000, immutable"
	for _, tt := range []struct{ path, body, contentType, cache string }{
		{"/", indexHTML, "text/html; charset=utf-8", again},
		{"/index.html", indexHTML, "text/html; charset=utf-8", again},
		{"/vehicle/City%20Truck", indexHTML, "text/html; charset=utf-8", again},
		{"/vehicle/%3Cimg%20src=x%3E", indexHTML, "text/html; charset=utf-8", again},
		{"/experimental", indexHTML, "text/html; charset=utf-8", again},
		{"/canary/", indexHTML, "text/html; charset=utf-8", again},
		{"/apis", indexHTML, "text/html; charset=utf-8", again},
		{"/../../etc/passwd", indexHTML, "text/html; charset=utf-8", again},
		{"/.gitkeep", indexHTML, "text/html; charset=utf-8", again},
		{"/favicon.svg", "<svg/>", "image/svg+xml", again},
		{"/assets/index-abc1.js", script, "text/javascript; charset=utf-8", keep},
	} {
		resp, body := get(t, base, tt.path)
		h := resp.Header
		if resp.StatusCode != 200 || body != tt.body || h.Get("Content-Type") != tt.contentType || h.Get("Cache-Control") != tt.cache {
			t.Errorf("%s: status %d, %q, %q, body %q, want 200, %q, %q, %q", tt.path, resp.StatusCode, h.Get("Content-Type"), h.Get("Cache-Control"), body, tt.contentType, tt.cache, tt.body)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'self'; img-src 'self' data:;") {
			t.Errorf("%s: security headers %q, %q", tt.path, h.Get("X-Content-Type-Options"), h.Get("Content-Security-Policy"))
		}
	}
	for _, path := range []string{"/assets/index-old0.js", "/assets/../index.html", "/assets/", "/assets"} {
		resp, body := get(t, base, path)
		checkError(t, resp, body, 404, "no such file", path)
	}
	for _, method := range []string{"POST", "DELETE", "BREW"} {
		resp, body := raw(t, base, method+" /vehicle/A HTTP/1.1\nHost: h\nContent-Length: 0\n\n")
		checkError(t, resp, body, 405, "method "+method+" not supported here", "/vehicle/A")
		if resp.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: Allow %q, want GET, HEAD", method, resp.Header.Get("Allow"))
		}
	}
	resp, body := raw(t, base, "HEAD / HTTP/1.1\nHost: h\n\n")
	if resp.StatusCode != 200 || body != "" || resp.ContentLength != int64(len(indexHTML)) {
		t.Errorf("HEAD: got status %d, length %d, body %q, want 200, %d and an empty body", resp.StatusCode, resp.ContentLength, body, len(indexHTML))
	}
}

func TestVariant(t *testing.T) {
	base := start(t, nobody(t), "VARIANT=experimental")
	const want = `<html data-variant="experimental"><title>Fleet Management Istio Premium Enterprise Edition</title></html>`
	for _, path := range []string{"/", "/experimental", "/index.html"} {
		if resp, body := get(t, base, path); resp.StatusCode != 200 || body != want {
			t.Errorf("%s: status %d, body %s, want 200, %s", path, resp.StatusCode, body, want)
		}
	}
}

func TestCaching(t *testing.T) {
	base := start(t, nobody(t))
	const path = "/assets/index-abc1.js"
	plain, _ := get(t, base, path)
	zipped, body := get(t, base, path, "Accept-Encoding: br, gzip;q=0.5")
	r, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(r); err != nil || string(text) != script || zipped.Header.Get("Content-Encoding") != "gzip" || len(body) >= len(script) {
		t.Errorf("%d bytes of encoding %q unpack to %q, %v", len(body), zipped.Header.Get("Content-Encoding"), text, err)
	}
	if a, b := plain.Header.Get("Etag"), zipped.Header.Get("Etag"); a == "" || a == b {
		t.Errorf("got ETags %q and %q, want different ones", a, b)
	}
	for _, tt := range []struct {
		accept, match string
		status        int
		encoding      string
	}{
		{"gzip;q=0", "", 200, ""},
		{"identity", "", 200, ""},
		{"gzip", zipped.Header.Get("Etag"), 304, "gzip"},
		{"identity", plain.Header.Get("Etag"), 304, ""},
		{"identity", zipped.Header.Get("Etag"), 200, ""},
	} {
		resp, body := get(t, base, path, "Accept-Encoding: "+tt.accept, "If-None-Match: "+tt.match)
		want := ""
		if tt.status == 200 {
			want = script
		}
		if resp.StatusCode != tt.status || body != want || (tt.status == 200 && resp.Header.Get("Content-Encoding") != tt.encoding) || resp.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%+v: status %d, encoding %q, %d bytes", tt, resp.StatusCode, resp.Header.Get("Content-Encoding"), len(body))
		}
	}
}

func TestPageRefusesToStart(t *testing.T) {
	for _, tt := range []struct {
		dist fstest.MapFS
		want string
	}{
		{fstest.MapFS{".gitkeep": {}}, "page: not built: run `make ui`"},
		{fstest.MapFS{"index.html": {Data: []byte(`<html data-variant="standard">`)}}, "index.html: must have <title>Fleet Management</title> once"},
		{fstest.MapFS{"index.html": {Data: []byte(`<title>Fleet Management</title>`)}}, `index.html: must have data-variant="standard" once`},
	} {
		if _, err := newPage(tt.dist, standard, nil); err == nil || err.Error() != tt.want {
			t.Errorf("%v: %v, want %s", tt.dist, err, tt.want)
		}
	}
}
