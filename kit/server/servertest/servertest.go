// Package servertest runs a whole service inside a test, with real listeners and its log.
package servertest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

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

	mu  sync.Mutex
	log bytes.Buffer
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
	go func() {
		defer close(s.done)
		s.err = run(ctx, getenv, writer)
		writer.Close()
	}()
	listening := make(chan struct{})
	go s.follow(reader, listening)
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

// follow reads the log, takes the addresses from it and closes listening when it has them.
func (s *Service) follow(log io.Reader, listening chan<- struct{}) {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		s.mu.Lock()
		s.log.Write(append(lines.Bytes(), '\n'))
		s.mu.Unlock()
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
func (s *Service) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// Stop ends the service as SIGTERM does and returns run's error.
func (s *Service) Stop() error {
	s.stop()
	<-s.done
	return s.err
}

// Observer returns telemetry that exports nothing and discards its log.
func Observer(t testing.TB) *observe.Observer {
	t.Helper()
	o, err := observe.Start(context.Background(), "test", envtest.Map(nil), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Answer is an HTTP answer with its whole body.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Call makes one request and returns its answer. A body is sent as JSON. headers are names and values in
// turn.
func (s *Service) Call(t testing.TB, method, target, body string, headers ...string) Answer {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, s.URL+target, r)
	if err != nil {
		t.Fatal(err)
	}
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
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: read answer: %v", req.Method, req.URL, err)
	}
	return Answer{resp.StatusCode, resp.Header, string(text)}
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
