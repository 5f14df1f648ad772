// Package servertest runs a whole service inside a test, with real listeners and its log.
package servertest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fleetman.example/kit/env"
	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/observe"
	"fleetman.example/kit/server"
)

// Service is a running service.
type Service struct {
	URL, AdminURL string // "http://127.0.0.1:…"; URL is empty without a listener

	stop context.CancelFunc
	done chan struct{}
	err  error

	log Buffer
}

// patience is the longest wait for what should happen immediately. Only what hangs takes longer, however busy the
// machine is.
const patience = 2 * time.Minute

// Start runs a service with the given environment and returns when it listens. By default it listens on
// free ports of loopback. It is stopped at the end of the test.
func Start(t testing.TB, run server.Run, environment map[string]string) *Service {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	s := &Service{stop: stop, done: make(chan struct{})}
	getenv := func(name string) string {
		if value, ok := environment[name]; ok {
			return value
		}
		return map[string]string{"LISTEN_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0", "DRAIN_DELAY": "0s"}[name]
	}
	reader, writer := io.Pipe()
	listening, logged := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(s.done)
		s.err = run(ctx, getenv, writer)
		writer.Close()
		<-logged
	}()
	go func() {
		defer close(logged)
		s.follow(reader, listening)
	}()
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	select {
	case <-listening:
	case <-s.done:
		t.Fatalf("run ended before it listened: %v\n%s", s.err, s.Log())
	case <-time.After(patience):
		t.Fatalf("not listening after %s:\n%s", patience, s.Log())
	}
	return s
}

// Routes returns the Run of a service with the given routes.
func Routes(routes func(r server.Router)) server.Run {
	return server.Program("test", func(r *env.Reader) server.Config {
		cfg := server.ReadConfig(r, ":8080")
		cfg.DrainTimeout = server.ReadDrainTimeout(r, 0, 0)
		return cfg
	}, func(ctx context.Context, _ server.Config, app *server.App) error {
		routes(app.Router)
		return app.Serve(ctx, app.Router)
	})
}

// follow reads the log, takes the addresses from it and closes listening when it has them.
func (s *Service) follow(log io.Reader, listening chan<- struct{}) {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		_, _ = s.log.Write(append(lines.Bytes(), '\n'))
		var line struct{ Msg, Addr, Admin string }
		if s.AdminURL == "" && json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			if line.Addr != "" {
				s.URL = "http://" + line.Addr
			}
			s.AdminURL = "http://" + line.Admin
			close(listening)
		}
	}
}

// Log returns what the service has logged so far.
func (s *Service) Log() string { return s.log.String() }

// Buffer is a bytes.Buffer that is safe for concurrent use.
type Buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Line waits for a line of the log with the message msg and returns its attributes.
func (s *Service) Line(t testing.TB, msg string) (line map[string]any) {
	t.Helper()
	Eventually(t, msg+" is logged", func() bool {
		for _, line = range s.Lines(t) {
			if line["msg"] == msg {
				return true
			}
		}
		return false
	})
	return line
}

// Lines returns the attributes of every line that the service has logged so far.
func (s *Service) Lines(t testing.TB) []map[string]any {
	t.Helper()
	return Lines(t, s.Log())
}

// Lines returns the attributes of every line of a log.
func Lines(t testing.TB, log string) (lines []map[string]any) {
	t.Helper()
	for text := range strings.Lines(log) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("log line %s: %v", text, err)
		}
		lines = append(lines, line)
	}
	return lines
}

// Stop ends the service as SIGTERM does and returns run's error. Log then has its whole log.
func (s *Service) Stop() error {
	s.stop()
	<-s.done
	return s.err
}

// Must returns value. It panics unless err, the error of a test's set-up, is nil. Unlike t.Fatal, it may be
// called in any goroutine.
func Must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// File writes a file with the given name into a new directory, and returns its path.
func File(t testing.TB, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Observer returns telemetry that exports nothing and discards its log.
func Observer(t testing.TB) *observe.Observer {
	t.Helper()
	return Must(observe.Start(context.Background(), "test", envtest.Map(nil), io.Discard))
}

// Metrics returns the text of o's /metrics.
func Metrics(t testing.TB, o *observe.Observer) string {
	t.Helper()
	w := httptest.NewRecorder()
	o.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Fatalf("got %d %s", w.Code, w.Header().Get("Content-Type"))
	}
	return w.Body.String()
}

// Serve serves h until the end of the test.
func Serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// Answer is an HTTP answer with its whole body.
type Answer struct {
	Request string // method and URL
	Status  int
	Header  http.Header
	Body    string
}

// Is fails the test unless the answer has the status, the body and the headers. headers are names and values
// in turn; several values of a header are separated by ", ", an empty value means no header.
func (a Answer) Is(t testing.TB, status int, body string, headers ...string) {
	t.Helper()
	if a.Status != status || a.Body != body {
		t.Errorf("%.80s: got %d %.400s, want %d %.400s", a.Request, a.Status, a.Body, status, body)
	}
	a.hasHeaders(t, headers)
}

// Has is Is for a text in the body instead of the whole body.
func (a Answer) Has(t testing.TB, status int, text string, headers ...string) {
	t.Helper()
	if a.Status != status || !strings.Contains(a.Body, text) {
		t.Errorf("%.80s: got %d %.400s, want %d and %.400s", a.Request, a.Status, a.Body, status, text)
	}
	a.hasHeaders(t, headers)
}

func (a Answer) hasHeaders(t testing.TB, headers []string) {
	t.Helper()
	for want := range slices.Chunk(headers, 2) {
		if got := strings.Join(a.Header.Values(want[0]), ", "); got != want[1] {
			t.Errorf("%.80s: %s: got %q, want %q", a.Request, want[0], got, want[1])
		}
	}
}

// Recorded returns the answer that a handler gave to w.
func Recorded(w *httptest.ResponseRecorder) Answer {
	return Answer{"a recorded request", w.Code, w.Header(), w.Body.String()}
}

// ErrorBody is an error's body in the contract's shape, with the timestamp of Untimed.
func ErrorBody(status int, message, path string) string {
	return fmt.Sprintf(`{"timestamp":"…","status":%d,"error":%q,"message":%q,"path":%q}`, status, http.StatusText(status), message, path)
}

var timestamp = regexp.MustCompile(`^\{"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000",`)

// Untimed returns the answer with … for the timestamp that is the first field of an error.
func (a Answer) Untimed() Answer {
	a.Body = timestamp.ReplaceAllString(a.Body, `{"timestamp":"…",`)
	return a
}

// Call makes one request and returns its answer. A body is sent as JSON. headers are names and values in
// turn.
func (s *Service) Call(t testing.TB, method, target, body string, headers ...string) Answer {
	t.Helper()
	return call(t, method, s.URL+target, body, headers...)
}

// Admin is Call on the admin listener.
func (s *Service) Admin(t testing.TB, method, target, body string, headers ...string) Answer {
	t.Helper()
	return call(t, method, s.AdminURL+target, body, headers...)
}

func call(t testing.TB, method, url, body string, headers ...string) Answer {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req := Must(http.NewRequest(method, url, r))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	return Do(t, req)
}

// Do makes one request and returns its answer. It follows no redirect and uses a connection of its own,
// so that nothing outlives the test.
func Do(t testing.TB, req *http.Request) Answer {
	t.Helper()
	a, err := Try(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return a
}

// Try is Do for a request that may have no answer.
func Try(req *http.Request) (Answer, error) {
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("read answer: %w", err)
	}
	return Answer{req.Method + " " + req.URL.String(), resp.StatusCode, resp.Header, string(text)}, nil
}

// Eventually waits until ok returns true. It fails the test after two minutes.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in %s: %s", patience, what)
		}
		time.Sleep(time.Millisecond) // polled, under a deadline
	}
}
