package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/server"
	"fleetman.example/kit/server/servertest"
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
func start(t *testing.T, gateway http.HandlerFunc, pairs ...string) string {
	t.Helper()
	g := servertest.Serve(t, gateway)
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
	cfg := servertest.Must(envtest.Read(values, readConfig))
	page := servertest.Must(newPage(dist, cfg.variant, cfg.photoOrigins))
	app := server.NewApp(cfg.Config, servertest.Observer(t))
	return servertest.Serve(t, api{page: page, gateway: newForwarder(cfg, app)}.routes(app.Router).ServeHTTP).URL
}

// nobody is a gateway that must not be called.
func nobody(t *testing.T) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("gateway got %s %s, want no call", r.Method, r.URL)
	}
}

// raw sends a request unchanged: the lines of its head, a blank line and its body.
func raw(t *testing.T, base, request string) servertest.Answer {
	t.Helper()
	head, body, _ := strings.Cut(request, "\n\n")
	return servertest.Raw(t, base, strings.ReplaceAll(head, "\n", "\r\n")+"\r\n\r\n"+body)
}

func get(t *testing.T, base, path string, headers ...string) servertest.Answer {
	t.Helper()
	lines := append([]string{"GET " + path + " HTTP/1.1", "Host: fleet.example"}, headers...)
	return raw(t, base, strings.Join(lines, "\n")+"\n\n")
}

// checkError compares an answer with the contract's error shape.
func checkError(t *testing.T, a servertest.Answer, status int, message, path string) {
	t.Helper()
	a.Untimed().Is(t, status, servertest.ErrorBody(status, message, path))
}

func TestForwardKeepsThePath(t *testing.T) {
	g := servertest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s at http://%s", r.Method, r.RequestURI, r.Host)
	})
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
		get(t, base, tt.path).Is(t, 200, "GET "+tt.want+" at "+g.URL)
	}
}

// The path of API_GATEWAY_URL is unescaped once.
func TestForwardToABaseWithAnEscapedPercent(t *testing.T) {
	g := servertest.Serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RequestURI) })
	get(t, servePage(t, "API_GATEWAY_URL="+g.URL+"/a%2525b"), "/api/vehicles/").Is(t, 200, "/a%2525b/vehicles/")
}

func TestForwardKeepsMethodAndBody(t *testing.T) {
	base := start(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/x-test")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %q %s", r.Method, body, r.Header.Get("Content-Type"))
	})
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		a := raw(t, base, method+" /api/x HTTP/1.1\nHost: h\nContent-Type: text/plain\nContent-Length: 5\n\nhello")
		a.Is(t, 418, method+` "hello" text/plain`, "Content-Type", "text/x-test")
	}
}

// An outside caller cannot shorten attempts: with the library on, a gateway that answers in its time remains
// reachable for all callers.
func TestOutsideTimeoutIsIgnored(t *testing.T) {
	base := start(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(100 * time.Millisecond):
			_, _ = io.WriteString(w, "[]")
		case <-r.Context().Done():
		}
	}, "RESILIENCE=library", "UPSTREAM_TIMEOUT=2m", "ATTEMPT_TIMEOUT=1m")
	for range 5 {
		get(t, base, "/api/vehicles/", "X-Envoy-Expected-Rq-Timeout-Ms: 40").Is(t, 200, "[]")
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
		base := start(t, func(w http.ResponseWriter, r *http.Request) {
			got = r.Header
			w.Header().Set("X-Fallback", "last-known; age=12s")
			w.Header().Set("Access-Control-Allow-Origin", "*")
		}, "PROPAGATE_HEADERS="+tt.propagate)
		a := get(t, base, "/api/vehicles/", "Accept: text/html", "Authorization: Basic x", "x-two: a", "X-Two: b",
			"X-Forwarded-For: 10.0.0.1", "b3: 1-2", "baggage: k=v", "x-envoy-expected-rq-timeout-ms: 9000", "X-Envoy-Retry-On: 5xx", "X-Forwarded-Client-Cert: By=spiffe://x", "X-Fault: delay", "Keep-Alive: 5", "Proxy-Authorization: y")
		a.Is(t, 200, "", "Access-Control-Allow-Origin", "*", "X-Fallback", "last-known; age=12s") // those of the gateway
		for name, want := range tt.want {
			if !slices.Equal(got[name], want) {
				t.Errorf("PROPAGATE_HEADERS=%s: gateway got %s %q, want %q", tt.propagate, name, got[name], want)
			}
		}
	}
}

func TestForwardBoundsTheBody(t *testing.T) {
	base := start(t, nobody(t), "MAX_BODY_BYTES=4")
	for _, request := range []string{"Content-Length: 5\n\nhello", "Transfer-Encoding: chunked\n\n5\r\nhello\r\n0\r\n\r\n"} {
		a := raw(t, base, "POST /api/vehicles/ HTTP/1.1\nHost: h\n"+request)
		checkError(t, a, 413, "body: too large: must be at most 4 bytes", "/api/vehicles/")
	}
}

// The time of a slow body does not count as the gateway's and does not affect other callers.
func TestSlowUploadIsNotTheGatewaysFault(t *testing.T) {
	const total, attempt = time.Second, 500 * time.Millisecond
	base := start(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}, "RESILIENCE=library", "UPSTREAM_TIMEOUT="+total.String(), "ATTEMPT_TIMEOUT="+attempt.String(), "BREAKER_FAILURES=1", "FALLBACK=false")
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
	// A call that a busy machine makes longer than an attempt may fail.
	for begin := time.Now(); time.Since(begin) < total+attempt; {
		called := time.Now()
		if a := get(t, base, "/api/"); a.Status != 200 && time.Since(called) < attempt {
			t.Errorf("another caller got %d %s after %s", a.Status, a.Body, time.Since(called))
		}
	}
	sent := time.Now()
	_, _ = io.WriteString(sender, " and whole")
	sender.Close()
	if got := <-answered; got != "200 slow and whole <nil>" && time.Since(sent) < attempt {
		t.Errorf("got %s, %s after the body", got, time.Since(sent))
	}
}

func TestForwardKeepsTheGatewaysError(t *testing.T) {
	const answer = `{"timestamp":"2023-11-07T07:49:21.555+0000","status":500,"error":"Internal Server Error","message":"status 502 reading staff-service GET /driver/City%20Truck","path":"/vehicles/driver/City%20Truck"}`
	base := start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		_, _ = io.WriteString(w, answer)
	})
	get(t, base, "/api/vehicles/driver/City%20Truck").Is(t, 500, answer)
}

func TestForwardWithoutAnAnswer(t *testing.T) {
	base := servePage(t, "API_GATEWAY_URL=127.0.0.1:1") // refuses connections
	checkError(t, get(t, base, "/api/vehicles/driver/City%20Truck?x=1"), 500, "connection refused reading api-gateway GET /vehicles/driver/City%20Truck", "/api/vehicles/driver/City%20Truck")

	base = start(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "UPSTREAM_TIMEOUT=20ms")
	get(t, base, "/api/vehicles/").Has(t, 500, `"message":"no answer in time reading api-gateway GET /vehicles/","path":"/api/vehicles/","origin":"timeout"}`)
}

func TestForwardStreams(t *testing.T) {
	seen := make(chan struct{})
	base := start(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-seen:
			_, _ = io.WriteString(w, " second")
		case <-r.Context().Done():
		}
	})
	resp := servertest.Must(http.Get(base + "/api/events"))
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
	base := start(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	resp := servertest.Must(http.Get(base + "/api/vehicles/"))
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
		a := get(t, base, tt.path)
		a.Is(t, 200, tt.body, "Content-Type", tt.contentType, "Cache-Control", tt.cache, "X-Content-Type-Options", "nosniff")
		if got := a.Header.Get("Content-Security-Policy"); !strings.HasPrefix(got, "default-src 'self'; img-src 'self' data:;") {
			t.Errorf("%s: Content-Security-Policy %q", tt.path, got)
		}
	}
	for _, path := range []string{"/assets/index-old0.js", "/assets/../index.html", "/assets/", "/assets"} {
		checkError(t, get(t, base, path), 404, "no such file", path)
	}
	for _, method := range []string{"POST", "DELETE", "BREW"} {
		a := raw(t, base, method+" /vehicle/A HTTP/1.1\nHost: h\nContent-Length: 0\n\n")
		checkError(t, a, 405, "method "+method+" not supported here", "/vehicle/A")
		a.Has(t, 405, "", "Allow", "GET, HEAD")
	}
	raw(t, base, "HEAD / HTTP/1.1\nHost: h\n\n").Is(t, 200, "", "Content-Length", strconv.Itoa(len(indexHTML)))
}

func TestVariant(t *testing.T) {
	base := start(t, nobody(t), "VARIANT=experimental")
	const want = `<html data-variant="experimental"><title>Fleet Management Istio Premium Enterprise Edition</title></html>`
	for _, path := range []string{"/", "/experimental", "/index.html"} {
		get(t, base, path).Is(t, 200, want)
	}
}

func TestCaching(t *testing.T) {
	base := start(t, nobody(t))
	const path = "/assets/index-abc1.js"
	plain := get(t, base, path)
	zipped := get(t, base, path, "Accept-Encoding: br, gzip;q=0.5")
	r := servertest.Must(gzip.NewReader(strings.NewReader(zipped.Body)))
	if text, err := io.ReadAll(r); err != nil || string(text) != script || zipped.Header.Get("Content-Encoding") != "gzip" || len(zipped.Body) >= len(script) {
		t.Errorf("%d bytes of encoding %q unpack to %q, %v", len(zipped.Body), zipped.Header.Get("Content-Encoding"), text, err)
	}
	if a, b := plain.Header.Get("Etag"), zipped.Header.Get("Etag"); a == "" || a == b {
		t.Errorf("got ETags %q and %q, want different ones", a, b)
	}
	for _, tt := range []struct {
		accept, match string
		status        int
	}{
		{"gzip;q=0", "", 200},
		{"identity", "", 200},
		{"gzip", zipped.Header.Get("Etag"), 304},
		{"identity", plain.Header.Get("Etag"), 304},
		{"identity", zipped.Header.Get("Etag"), 200},
	} {
		a := get(t, base, path, "Accept-Encoding: "+tt.accept, "If-None-Match: "+tt.match)
		a.Is(t, tt.status, map[int]string{200: script}[tt.status], "Content-Encoding", "", "Vary", "Accept-Encoding")
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
