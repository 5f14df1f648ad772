package console

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// handlerOf returns the handler of a console at 127.0.0.1:30090 with a small page.
func handlerOf(source Source) http.Handler {
	files := fstest.MapFS{
		"index.html":         {Data: []byte(`<meta content="` + tokenPlace + `">`)},
		"assets/main-abc.js": {Data: []byte("1")},
		".gitkeep":           {},
	}
	index, _ := fs.ReadFile(files, "index.html")
	g := newGenerator(source)
	return api{
		source: source, load: g, watcher: newWatcher(source, g), page: &page{files, index}, token: "secret", host: "127.0.0.1:30090",
		mounts: map[string]http.Handler{"traces": http.NotFoundHandler()},
	}.routes()
}

// TestRequests checks every response to requests of the page, and to those that a foreign page can send.
func TestRequests(t *testing.T) {
	const own, kill = "127.0.0.1:30090", `{"do":"kill","pod":"a-0","signal":"TERM"}`
	token := map[string]string{tokenHeader: "secret", "Origin": "http://" + own}
	for _, test := range []struct {
		method, host, path, body string
		header                   map[string]string
		status                   int
		want                     string
	}{
		{"GET", own, "/", "", nil, 200, `<meta content="secret">`},
		{"GET", own, "/index.html", "", nil, 200, `<meta content="secret">`},
		{"GET", "localhost:30090", "/", "", nil, 200, `<meta content="secret">`},
		{"GET", own, "/assets/main-abc.js", "", nil, 200, "1"},
		{"GET", own, "/.gitkeep", "", nil, 404, `{"error":"no such file"}`},
		{"GET", own, "/assets", "", nil, 404, `{"error":"no such file"}`},
		{"GET", own, "/api/nothing", "", nil, 404, `{"error":"no such resource"}`},
		{"GET", own, "/api/change", "", nil, 404, `{"error":"no such resource"}`},
		{"GET", own, "/api/lessons", "", nil, 200, `{"scenarios":null,"open":null}`},
		{"GET", own, "/api/traces", "", nil, 404, "404 page not found"},

		{"POST", own, "/api/change", kill, token, 200, `{"did":"done"}`},
		{"POST", own, "/api/change", `{"do":"kill","pod":"nobody"}`, token, 422, `{"error":"no pod \"nobody\""}`},
		{"POST", own, "/api/change", `{"do":1}`, token, 400, `{"error":"body: cannot unmarshal number into Go struct field Change.do of type string: must be one JSON object"}`},
		{"POST", own, "/api/change", `{"x":1}`, token, 400, `{"error":"body: unknown field \"x\": must be one JSON object"}`},
		{"POST", own, "/api/change", kill + kill, token, 400, `{"error":"body: more than one value: must be one JSON object"}`},
		{"POST", own, "/api/change", `{"pod":"` + strings.Repeat("x", maxBody) + `"}`, token, 400, `{"error":"body: http: request body too large: must be one JSON object"}`},
		{"POST", own, "/api/load", `{"rate":500,"mix":{}}`, token, 422, `{"error":"rate: 500: must be between 0 and 200 requests per second"}`},
		{"POST", own, "/api/load", `{"rate":0,"mix":{}}`, token, 200, `{}`},
		{"POST", own, "/api/check?promise=0", "", token, 200, `{"holds":true,"findings":[{"requests":"60 requests","holds":true,"expected":"60 responses","saw":"60 of 60 requests"}]}`},
		{"POST", own, "/api/check?promise=1", "", token, 422, `{"error":"promise: 1: must be less than 1"}`},
		{"POST", own, "/api/check?promise=x", "", token, 400, `{"error":"promise: \"x\": must be a number from 0"}`},

		// without the page's token
		{"POST", own, "/api/change", kill, nil, 403, `{"error":"X-Console-Token: must be the token of the page: load it again"}`},
		{"POST", own, "/api/change", kill, map[string]string{tokenHeader: "secre"}, 403, `{"error":"X-Console-Token: must be the token of the page: load it again"}`},
		{"DELETE", own, "/", "", nil, 403, `{"error":"X-Console-Token: must be the token of the page: load it again"}`},
		// from another page, with the token all the same
		{"POST", own, "/api/change", kill, map[string]string{tokenHeader: "secret", "Origin": "http://evil.example"}, 403, `{"error":"Origin: \"http://evil.example\": must be http://127.0.0.1:30090"}`},
		{"POST", own, "/api/change", kill, map[string]string{tokenHeader: "secret", "Origin": "null"}, 403, `{"error":"Origin: \"null\": must be http://127.0.0.1:30090"}`},
		{"GET", own, "/api/stream", "", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403, `{"error":"Sec-Fetch-Site: \"cross-site\": must be same-origin"}`},
		{"GET", own, "/api/lessons", "", map[string]string{"Sec-Fetch-Site": "same-site"}, 403, `{"error":"Sec-Fetch-Site: \"same-site\": must be same-origin"}`},
		// by a name that resolves to this address
		{"GET", "evil.example:30090", "/", "", nil, 403, `{"error":"Host: \"evil.example:30090\": must be 127.0.0.1:30090"}`},
		{"POST", "evil.example:30090", "/api/change", kill, map[string]string{tokenHeader: "secret", "Origin": "http://evil.example:30090"}, 403, `{"error":"Host: \"evil.example:30090\": must be 127.0.0.1:30090"}`},
		{"GET", "127.0.0.1", "/", "", nil, 403, `{"error":"Host: \"127.0.0.1\": must be 127.0.0.1:30090"}`},
	} {
		source := &fake{}
		request := httptest.NewRequest(test.method, test.path, strings.NewReader(test.body))
		request.Host = test.host
		for name, value := range test.header {
			request.Header.Set(name, value)
		}
		recorder := httptest.NewRecorder()
		handlerOf(source).ServeHTTP(recorder, request)
		what := fmt.Sprint(test.method, " ", test.path, " of ", test.host, " with ", test.header)
		assert.Equal(t, test.status, recorder.Code, what)
		assert.Equal(t, test.want, strings.TrimSpace(recorder.Body.String()), what)
		if test.status != 200 {
			assert.Empty(t, source.changes, what)
		}
	}
}

// TestPageHeaders checks the headers of the page.
func TestPageHeaders(t *testing.T) {
	request := httptest.NewRequest("GET", "/", nil)
	request.Host = "127.0.0.1:30090"
	recorder := httptest.NewRecorder()
	handlerOf(&fake{}).ServeHTTP(recorder, request)
	for name, want := range map[string]string{
		"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Content-Type": "text/html; charset=utf-8",
	} {
		assert.Equal(t, want, recorder.Header().Get(name), name)
	}
	assert.Regexp(t, "^default-src 'none';", policy)
	assert.NotRegexp(t, `unsafe|\*`, policy)
}

// TestStream reads states from a console as a page does, and closes the console under it.
func TestStream(t *testing.T) {
	source := &fake{}
	source.set(smallFleet(0))
	server := httptest.NewServer(nil)
	defer server.Close()
	g := newGenerator(source)
	w := newWatcher(source, g)
	server.Config.Handler = api{source: source, load: g, watcher: w, page: &page{}, token: "x", host: server.Listener.Addr().String()}.routes()
	response, err := http.Get(server.URL + "/api/stream")
	require.NoError(t, err)
	assert.Equal(t, 200, response.StatusCode)
	assert.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	var names []string
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for len(names) < 2 && lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			names = append(names, name)
		}
	}
	assert.Equal(t, []string{"opening", "state"}, names, "events; %v", lines.Err())
	response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
}

func TestListen(t *testing.T) {
	listener, err := Listen(netip.MustParseAddr("192.0.2.1"), 0)
	require.NoError(t, err)
	defer listener.Close()
	taken := netip.MustParseAddrPort(listener.Addr().String())
	assert.Equal(t, "127.0.0.1", taken.Addr().String(), "loopback")
	_, err = Listen(taken.Addr(), int(taken.Port()))
	assert.EqualError(t, err, "console: "+taken.String()+": bind: address already in use: choose another port with --console-port, or 0 for none")
}
