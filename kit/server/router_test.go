package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"fleetman.example/kit/apierror"
	"fleetman.example/kit/server"
	"fleetman.example/kit/server/servertest"
)

var shape = servertest.ErrorBody

// echo has a route of each kind. It answers a POST with the request's body.
func echo(r server.Router) {
	r.GET("/", func(c *gin.Context) { c.String(200, "root") })
	r.GET("/vehicles", func(c *gin.Context) { c.String(200, "all") })
	r.DELETE("/vehicles", func(*gin.Context) {})
	r.GET("/vehicles/:name", func(c *gin.Context) { c.String(200, "one:"+c.Param("name")) })
	r.POST("/vehicles", func(c *gin.Context) {
		body, err := server.JSONBody(c)
		if err != nil {
			apierror.Write(c, err)
			return
		}
		c.Data(200, "application/json", body)
	})
	r.POST("/unread", func(c *gin.Context) { c.String(200, "unread") })
}

func TestRouting(t *testing.T) {
	s := servertest.Start(t, servertest.Routes(echo), nil)
	for _, tc := range []struct {
		method, target string
		status         int
		body           string
	}{
		{"GET", "/", 200, "root"},
		{"GET", "//", 200, "root"},
		{"GET", "/?a=b", 200, "root"},
		{"GET", "/vehicles", 200, "all"},
		{"GET", "/vehicles/", 200, "all"},
		{"GET", "//vehicles/", 200, "all"},
		{"GET", "///vehicles?x", 200, "all"},
		{"GET", "/vehicles/City%20Truck", 200, "one:City Truck"},
		{"GET", "/vehicles/City%20Truck/", 200, "one:City Truck"},
		{"GET", "//vehicles/City%20Truck/", 200, "one:City Truck"},
		{"GET", "/vehicles/a%2Fb", 200, "one:a/b"},
		{"GET", "/vehicles/a%2Fb/", 200, "one:a/b"},
		{"GET", "/vehicles/%2E%2E", 200, "one:.."},
		{"GET", "/vehicles/..", 200, "one:.."},
		{"GET", "/vehicles/a+b", 200, "one:a+b"},
		{"GET", "/vehicles/a+b%2Bc%2C", 200, "one:a+b+c,"},
		{"GET", "/vehicles/100%25", 200, "one:100%"},
		{"GET", "/vehicles/%252F", 200, "one:%2F"},
		{"DELETE", "/vehicles/", 200, ""},
		{"HEAD", "/vehicles/", 200, ""},
		{"HEAD", "/nowhere", 404, ""},
		{"GET", "/nowhere", 404, shape(404, "no such path", "/nowhere")},
		{"GET", "//nowhere/?q=1", 404, shape(404, "no such path", "//nowhere/")},
		{"GET", "/vehicles/a/b", 404, shape(404, "no such path", "/vehicles/a/b")},
		{"GET", "/VEHICLES", 404, shape(404, "no such path", "/VEHICLES")},
		{"PUT", "/vehicles/", 405, shape(405, "method PUT not supported here", "/vehicles/")},
		{"POST", "/vehicles/x", 405, shape(405, "method POST not supported here", "/vehicles/x")},
		{"BREW", "/vehicles", 405, shape(405, "method BREW not supported here", "/vehicles")},
		{"OPTIONS", "/vehicles/", 200, ""},
		{"OPTIONS", "/nowhere", 404, shape(404, "no such path", "/nowhere")},
	} {
		t.Run(tc.method+" "+tc.target, func(t *testing.T) {
			a := s.Call(t, tc.method, tc.target, "")
			a.Untimed().Is(t, tc.status, tc.body)
			if tc.status == 405 || tc.method == "OPTIONS" && tc.status == 200 {
				if allow := a.Header.Get("Allow"); !strings.Contains(allow, "GET") {
					t.Errorf("Allow: %q", allow)
				}
			}
		})
	}
	if get, head := s.Call(t, "GET", "/vehicles/x", ""), s.Call(t, "HEAD", "/vehicles/x", ""); head.Header.Get("Content-Length") != get.Header.Get("Content-Length") || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
		t.Errorf("headers of HEAD: %v, of GET: %v", head.Header, get.Header)
	}
}

// Requests that client libraries do not send.
func TestOddRequestLines(t *testing.T) {
	s := servertest.Start(t, servertest.Routes(echo), nil)
	for line, want := range map[string]int{
		"GET http://elsewhere/vehicles/ HTTP/1.1": 200,
		"GET http://elsewhere HTTP/1.1":           404,
		"OPTIONS * HTTP/1.1":                      200,
		"CONNECT elsewhere:80 HTTP/1.1":           404,
		"GET vehicles HTTP/1.1":                   400,
		"GET /vehicles/\xff HTTP/1.1":             200,
	} {
		servertest.Raw(t, s.URL, line+"\r\nHost: x\r\nConnection: close\r\n\r\n").Has(t, want, "")
	}
	s.Call(t, "GET", "/", "").Is(t, 200, "root")
	if log := s.Log(); strings.Contains(log, "panic") {
		t.Error(log)
	}
}

// net/http answers malformed HTTP requests, as text/plain and not in the contract's shape; see the README.
func TestNoRequest(t *testing.T) {
	s := servertest.Start(t, servertest.Routes(echo), nil)
	for _, tc := range []struct {
		name, text string
		status     int
		answer     string
	}{
		{"escape", "GET /vehicles/%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "400 Bad Request"},
		{"two lengths", "POST /vehicles/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400, "400 Bad Request"},
		{"no host", "GET /vehicles/ HTTP/1.1\r\n\r\n", 400, "400 Bad Request: missing required Host header"},
		{"large headers", "GET /vehicles/ HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 17<<10) + "\r\n\r\n", 431, "431 Request Header Fields Too Large"},
	} {
		servertest.Raw(t, s.URL, tc.text).Is(t, tc.status, tc.answer, "Content-Type", "text/plain; charset=utf-8")
	}
	s.Call(t, "GET", "/", "", "X", strings.Repeat("x", 8<<10)).Is(t, 200, "root")
}

func TestJSONBody(t *testing.T) {
	s := servertest.Start(t, servertest.Routes(echo), map[string]string{"MAX_BODY_BYTES": "16"})
	const tooLarge, wrongType = "body: too large: must be at most 16 bytes", "Content-Type: %q: must be application/json"
	for _, tc := range []struct {
		contentType, body string
		chunked           bool
		status            int
		answer            string
	}{
		{"application/json", `{"a":1}`, false, 200, `{"a":1}`},
		{"application/json", `{"a":1}`, true, 200, `{"a":1}`},
		{"application/json;charset=UTF-8", `{}`, false, 200, `{}`},
		{"Application/JSON", `{}`, false, 200, `{}`},
		{"application/vnd.fleet+json", `{}`, false, 200, `{}`},
		{"application/json", strings.Repeat("x", 16), false, 200, strings.Repeat("x", 16)},
		{"application/json", strings.Repeat("x", 16), true, 200, strings.Repeat("x", 16)},
		{"application/json", "", false, 200, ""},
		{"application/json", strings.Repeat("x", 17), false, 413, tooLarge},
		{"application/json", strings.Repeat("x", 17), true, 413, tooLarge},
		{"", `{}`, false, 415, wrongType},
		{"text/plain", `{}`, false, 415, wrongType},
		{"application/x-www-form-urlencoded", `{}`, false, 415, wrongType},
		{"application/jsonp", `{}`, false, 415, wrongType},
		{"application/json;;", `{}`, false, 415, wrongType},
	} {
		t.Run(fmt.Sprintf("%s %d chunked %v", tc.contentType, len(tc.body), tc.chunked), func(t *testing.T) {
			var body io.Reader = strings.NewReader(tc.body)
			if tc.chunked {
				body = io.MultiReader(body) // hides the length from the client
			}
			req := servertest.Must(http.NewRequest("POST", s.URL+"/vehicles/", body))
			if tc.contentType != "" {
				req.Header.Set("Content-Type", tc.contentType)
			}
			want := tc.answer
			if tc.answer == wrongType {
				want = fmt.Sprintf(wrongType, tc.contentType)
			}
			if tc.status != 200 {
				want = shape(tc.status, want, "/vehicles/")
			}
			servertest.Do(t, req).Untimed().Is(t, tc.status, want)
		})
	}
}

// A caller receives the 413 for its body while it is still sending it.
func TestTooLargeIsReadWhileSending(t *testing.T) {
	s := servertest.Start(t, servertest.Routes(echo), nil)
	for i := range 100 {
		var body io.Reader = strings.NewReader(strings.Repeat("x", 1<<20))
		if i%2 == 1 {
			body = io.MultiReader(body) // hides the length from the client
		}
		req := servertest.Must(http.NewRequest("POST", s.URL+"/vehicles", body))
		req.Header.Set("Content-Type", "application/json")
		begin := time.Now()
		a, err := servertest.Try(req)
		// net/http closes the connection 500 ms after the answer, which a busy caller may not have read by then.
		if took := time.Since(begin); err != nil && took < 500*time.Millisecond {
			t.Errorf("after %s: %v", took, err)
		}
		if err == nil {
			a.Untimed().Is(t, 413, shape(413, "body: too large: must be at most 65536 bytes", "/vehicles"))
		}
	}
}

func TestIncompleteBody(t *testing.T) {
	s := servertest.Start(t, servertest.Routes(echo), nil)
	const head = "POST /vehicles/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	for _, tc := range []struct{ text, message string }{
		{head + "Content-Length: 10\r\n\r\n{\"a\"", "body: unexpected EOF"},
		{head + "Transfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n", "body: unexpected EOF"},
		{head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "body: invalid byte in chunk length"},
	} {
		conn := servertest.Dial(t, s.URL, tc.text)
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		servertest.ReadAnswer(t, conn, tc.text).Untimed().Is(t, 400, shape(400, tc.message, "/vehicles/"))
	}
}

// pipes is a listener within the process, for use with synctest.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// A caller that does not send the rest of its body gets an answer, and its connection is closed, whether or
// not the handler reads the body. The time limit does not apply to later requests of the connection.
func TestBodyThatNeverComes(t *testing.T) {
	for path, tc := range map[string]struct {
		status int
		body   string
		within time.Duration
	}{
		"/vehicles/ 10":     {408, shape(408, "body: incomplete: must be sent within 30s", "/vehicles/"), 30 * time.Second},
		"/vehicles/ 101":    {413, shape(413, "body: too large: must be at most 100 bytes", "/vehicles/"), 0},
		"/vehicles/ 999999": {413, shape(413, "body: too large: must be at most 100 bytes", "/vehicles/"), 0},
		"/unread 10":        {200, "unread", 30 * time.Second},
	} {
		t.Run(path, func(t *testing.T) {
			path, length, _ := strings.Cut(path, " ")
			synctest.Test(t, func(t *testing.T) {
				conn, reader := piped(t, echo)
				began := time.Now()
				request := "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: " + length + "\r\n\r\n{"
				go func() { _, _ = io.WriteString(conn, request) }()
				servertest.ReadAnswer(t, reader, request).Untimed().Is(t, tc.status, tc.body)
				if took := time.Since(began); took > tc.within {
					t.Errorf("answered after %s", took)
				}
				if _, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
					t.Errorf("the connection: got %v, want its end", err)
				}
			})
		})
	}
}

// The time limit of a body does not apply to the handler.
func TestSlowHandlerAfterQuickBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, reader := piped(t, func(r server.Router) {
			r.POST("/slow", func(c *gin.Context) {
				body, err := io.ReadAll(c.Request.Body) // as a proxy does
				select {
				case <-c.Request.Context().Done():
					t.Error("the request's context is done")
				case <-time.After(59 * time.Second):
				}
				c.String(200, "%s %v", body, err)
			})
		})
		const request = "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
		for range 2 {
			go func() { _, _ = io.WriteString(conn, request) }()
			servertest.ReadAnswer(t, reader, request).Is(t, 200, "{} <nil>")
		}
	})
}

// piped serves routes on one connection within the process, for use with synctest.
func piped(t *testing.T, routes func(server.Router)) (conn net.Conn, reader *bufio.Reader) {
	r := server.NewApp(server.Config{MaxBody: 100}, servertest.Observer(t)).Router
	routes(r)
	listener := make(pipes)
	s := &http.Server{Handler: r}
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(func() { s.Close() })
	conn, far := net.Pipe()
	t.Cleanup(func() { conn.Close() })
	listener <- far
	return conn, bufio.NewReader(conn)
}

func TestRecovery(t *testing.T) {
	s := servertest.Start(t, servertest.Routes(func(r server.Router) {
		r.GET("/panic", func(*gin.Context) { panic("the cause") })
		r.GET("/half", func(c *gin.Context) {
			c.Header("Content-Length", "100")
			c.String(200, "half")
			c.Writer.Flush()
			panic("half the cause")
		})
		r.GET("/abort", func(*gin.Context) { panic(http.ErrAbortHandler) })
		r.GET("/well", func(c *gin.Context) { c.String(200, "well") })
	}), nil)
	s.Call(t, "GET", "/panic", "").Untimed().Is(t, 500, shape(500, "internal error", "/panic"))
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(httptest.NewRequest("GET", s.URL+"/half", nil))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 || string(body) != "half" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("partial answer: got %d %s, %v, want a broken connection", resp.StatusCode, body, err)
	}
	if _, err := transport.RoundTrip(httptest.NewRequest("GET", s.URL+"/abort", nil)); !errors.Is(err, io.EOF) {
		t.Errorf("aborted: got %v", err)
	}
	s.Call(t, "GET", "/well", "").Is(t, 200, "well")
	for _, want := range []string{"panic: the cause", "panic: half the cause", "router_test.go"} { // with the stack
		servertest.Eventually(t, want+" is logged", func() bool { return strings.Contains(s.Log(), want) })
	}
	if n := strings.Count(s.Log(), "request failed"); n != 2 {
		t.Errorf("%d failures logged, want 2:\n%s", n, s.Log())
	}
	metrics := s.Admin(t, "GET", "/metrics", "").Body
	for _, want := range []string{`error_type="aborted",http_request_method="GET",http_response_status_code="200",http_route="/half"} 1`, `http_response_status_code="500",http_route="/panic"} 1`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

// Request.Pattern has the route for OpenTelemetry, also if the path was canonicalised.
func TestPattern(t *testing.T) {
	r := server.NewApp(server.Config{MaxBody: 1}, servertest.Observer(t)).Router
	echo(r)
	for target, want := range map[string]string{"/vehicles": "/vehicles", "//vehicles/": "/vehicles", "/vehicles/x/": "/vehicles/:name", "/nowhere/": ""} {
		for _, method := range []string{"GET", "HEAD"} {
			req := httptest.NewRequest(method, target, nil)
			if r.ServeHTTP(httptest.NewRecorder(), req); req.Pattern != want {
				t.Errorf("%s %s: got %q, want %q", method, target, req.Pattern, want)
			}
		}
	}
}
