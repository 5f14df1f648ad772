// Package servertest runs a whole service inside a test: its own run, real listeners, its log.
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
)

// Run is the signature of a service's run.
type Run func(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error

// Service is one that runs.
type Service struct {
	URL, AdminURL string // "http://127.0.0.1:…"; URL is empty for one that only sends

	stop context.CancelFunc
	done chan struct{}
	err  error

	mu  sync.Mutex
	log bytes.Buffer
}

// patience bounds what should happen at once; a test that waits this long has failed.
const patience = 10 * time.Second

// Start runs a service with the given environment, on free ports of loopback unless the
// environment says otherwise, and returns when it listens. The test's end stops it.
func Start(t testing.TB, run Run, environment map[string]string) *Service {
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
		s.err = run(ctx, nil, getenv, writer, writer)
		writer.Close()
	}()
	listening := make(chan struct{})
	go s.follow(reader, listening)
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stopping: %v", err)
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

// follow keeps the log and finds the addresses in it.
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

// Log is what the service has logged so far.
func (s *Service) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// Stop ends the service as SIGTERM does and answers run's error.
func (s *Service) Stop() error {
	s.stop()
	<-s.done
	return s.err
}

// Answer is an HTTP answer, read whole.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Call makes one request and reads its answer. A body is sent as JSON; headers are pairs.
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

// Do makes one request and reads its answer; it follows no redirect and reuses no connection, so
// that nothing outlives the test.
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
		t.Fatalf("%s %s: reading the answer: %v", req.Method, req.URL, err)
	}
	return Answer{resp.StatusCode, resp.Header, string(text)}
}

// Eventually fails the test when ok has not come true in time.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in %s: %s", patience, what)
		}
		time.Sleep(time.Millisecond) // polled, under a deadline
	}
}
