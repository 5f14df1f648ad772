package server_test

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"fleetman.example/kit/env"
	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/server"
	"fleetman.example/kit/server/servertest"
)

func root(r server.Router) { r.GET("/", func(*gin.Context) {}) }

func TestAdmin(t *testing.T) {
	s := servertest.Start(t, servertest.Routes(root), nil)
	for path, want := range map[string]struct {
		status int
		body   string // its beginning
	}{
		"/healthz": {200, "ok\n"}, "/readyz": {200, "ready\n"}, "/metrics": {200, "# HELP "}, "/vehicles": {404, ""},
	} {
		if a := s.Admin(t, "GET", path, ""); a.Status != want.status || !strings.HasPrefix(a.Body, want.body) {
			t.Errorf("admin %s: got %d %.40s", path, a.Status, a.Body)
		}
		// The admin listener must not be reachable through the service's address.
		s.Call(t, "GET", path, "").Has(t, 404, `"message":"no such path"`)
	}
	s.Admin(t, "POST", "/readyz", "").Has(t, http.StatusMethodNotAllowed, "")
}

func TestOnlyAdmin(t *testing.T) {
	serve := func(ctx context.Context, _ server.Config, app *server.App) error { return app.Serve(ctx, nil) }
	s := servertest.Start(t, server.Program("test", server.ReadAdminConfig, serve), nil)
	s.Admin(t, "GET", "/readyz", "").Has(t, 200, "")
	s.Admin(t, "GET", "/faults", "").Has(t, 404, "") // there are no requests to inject faults into
	if s.URL != "" {
		t.Errorf("service at %q", s.URL)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

func TestOccupiedPort(t *testing.T) {
	taken := servertest.Must(net.Listen("tcp", "127.0.0.1:0"))
	defer taken.Close()
	addr := taken.Addr().String()
	for name, cfg := range map[string]server.Config{
		"LISTEN_ADDR": {ListenAddr: addr, AdminAddr: "127.0.0.1:0"},
		"ADMIN_ADDR":  {ListenAddr: "127.0.0.1:0", AdminAddr: addr},
	} {
		err := server.NewApp(cfg, servertest.Observer(t)).Serve(t.Context(), http.NotFoundHandler())
		if want := name + ": listen tcp " + addr + ": bind: address already in use"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// slow is a handler that answers when released.
type slow struct{ entered, release chan struct{} }

func newSlow() slow { return slow{make(chan struct{}, 1), make(chan struct{})} }

func (s slow) routes(r server.Router) {
	r.GET("/slow", func(c *gin.Context) {
		s.entered <- struct{}{}
		<-s.release
		c.String(200, "whole")
	})
	r.GET("/quick", func(c *gin.Context) { c.String(200, "quick") })
}

func TestDrain(t *testing.T) {
	h := newSlow()
	release := sync.OnceFunc(func() { close(h.release) })
	defer release()
	const delay = time.Second
	s := servertest.Start(t, servertest.Routes(h.routes), map[string]string{"DRAIN_DELAY": delay.String(), "DRAIN_TIMEOUT": "10m"})
	answered := make(chan servertest.Answer, 1)
	go func() { answered <- s.Call(t, "GET", "/slow", "") }()
	<-h.entered
	s.Admin(t, "GET", "/readyz", "").Has(t, 200, "")
	stopped := make(chan error, 1)
	begin := time.Now()
	go func() { stopped <- s.Stop() }()
	servertest.Eventually(t, "not ready", func() bool {
		a := s.Admin(t, "GET", "/readyz", "")
		return a.Status == 503 && a.Body == "draining\n"
	})
	// During DRAIN_DELAY, which a busy machine may exceed, callers are answered, and their connections closed.
	resp, err := new(http.Transport).RoundTrip(httptest.NewRequestWithContext(t.Context(), "GET", s.URL+"/quick", nil))
	if took := time.Since(begin); err != nil && took < delay {
		t.Errorf("after %s of the drain: %v", took, err)
	}
	if err == nil {
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || string(body) != "quick" || err != nil || !resp.Close {
			t.Errorf("while it drains: got %d %s, %v, connection closes: %v", resp.StatusCode, body, err, resp.Close)
		}
	}
	servertest.Eventually(t, "the listener is closed", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err == nil {
			conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	select {
	case err := <-stopped:
		t.Fatalf("stopped before the request was answered: %v", err)
	default:
	}
	s.Admin(t, "GET", "/readyz", "").Has(t, 503, "")
	release()
	(<-answered).Is(t, 200, "whole") // accepted before
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestDrainTimeout(t *testing.T) {
	h := newSlow()
	defer close(h.release)
	var failed error
	run := servertest.Routes(h.routes)
	s := servertest.Start(t, func(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
		failed = run(ctx, getenv, stdout)
		return nil
	}, map[string]string{"DRAIN_TIMEOUT": "10ms"})
	broken := make(chan error, 1)
	go func() {
		_, err := new(http.Transport).RoundTrip(httptest.NewRequestWithContext(t.Context(), "GET", s.URL+"/slow", nil))
		broken <- err
	}()
	<-h.entered
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if failed == nil || failed.Error() != "drain: requests still running after 10ms: context deadline exceeded" {
		t.Errorf("got %v", failed)
	}
	if err := <-broken; !errors.Is(err, io.EOF) {
		t.Errorf("the caller of the request got %v", err)
	}
}

// Under load over persistent connections, every accepted request is answered completely, and no connection is
// closed while a caller uses it.
func TestDrainUnderLoadLosesNothing(t *testing.T) {
	const callers, delay = 16, 300 * time.Millisecond
	var accepted, answered atomic.Int64
	s := servertest.Start(t, servertest.Routes(func(r server.Router) {
		r.POST("/work", func(c *gin.Context) {
			accepted.Add(1)
			if _, err := server.JSONBody(c); err != nil {
				t.Error(err)
			}
			c.String(200, strings.Repeat("whole", 2000))
		})
	}), map[string]string{"DRAIN_DELAY": delay.String()})
	// call reports whether the service still accepts new connections.
	call := func(transport *http.Transport, previous time.Time) bool {
		kept := false
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { kept = i.Reused }})
		req := httptest.NewRequestWithContext(ctx, "POST", s.URL+"/work", strings.NewReader("{}"))
		req.Header.Set("Content-Type", "application/json")
		resp, err := transport.RoundTrip(req)
		if err != nil {
			// A connection whose previous call starts during the drain is closed by its answer. One that a busy
			// machine leaves idle for all of the drain proves nothing.
			if pause := time.Since(previous); kept && pause < delay {
				t.Errorf("on a persistent connection, %s after the start of its previous call: %v", pause, err)
			}
			return false
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || len(body) != 10_000 || err != nil {
			t.Errorf("got %d, %d bytes, %v", resp.StatusCode, len(body), err)
			return false
		}
		answered.Add(1)
		return true
	}
	var load sync.WaitGroup
	for range callers {
		load.Go(func() {
			transport := new(http.Transport) // one connection
			defer transport.CloseIdleConnections()
			var previous time.Time
			for start := time.Now(); call(transport, previous); start = time.Now() {
				previous = start
			}
		})
	}
	servertest.Eventually(t, "load", func() bool { return answered.Load() > 20*callers })
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	load.Wait()
	if accepted.Load() != answered.Load() {
		t.Errorf("%d accepted, %d answered completely", accepted.Load(), answered.Load())
	}
	t.Logf("%d answered", answered.Load())
}

func TestConfig(t *testing.T) {
	values := map[string]string{"LISTEN_ADDR": "8080", "ADMIN_ADDR": "x", "MAX_BODY_BYTES": "0", "PROPAGATE_HEADERS": "no", "DRAIN_DELAY": "2m", "DRAIN_TIMEOUT": "-1s"}
	envtest.Refuses(t, values, readConfig(1),
		`LISTEN_ADDR: "8080": must be host:port`, `ADMIN_ADDR: "x": must be host:port`, `MAX_BODY_BYTES: "0": must be a whole number from 1 to 67108864`,
		`PROPAGATE_HEADERS: "no": must be true or false`, `DRAIN_DELAY: "2m": must be a duration from 0s to 1m`, `DRAIN_TIMEOUT: "-1s": must be a duration from 0s to 1h`)
	if cfg, err := envtest.Read(nil, readConfig(0)); err != nil || cfg.ListenAddr != ":8080" || cfg.AdminAddr != "127.0.0.1:9090" || cfg.MaxBody != 64<<10 || !cfg.PropagateHeaders {
		t.Errorf("got %+v, %v", cfg, err)
	}
	if cfg, err := envtest.Read(nil, server.ReadAdminConfig); err != nil || cfg.ListenAddr != "" || cfg.AdminAddr != "127.0.0.1:9090" {
		t.Errorf("got %+v, %v", cfg, err)
	}
}

// readConfig reads the configuration of a service whose longest request makes calls of a minute.
func readConfig(calls int) func(r *env.Reader) server.Config {
	return func(r *env.Reader) server.Config {
		cfg := server.ReadConfig(r, ":8080")
		cfg.DrainTimeout = server.ReadDrainTimeout(r, calls, time.Minute)
		return cfg
	}
}

// Contradicting variables are an error that names both.
func TestConfigContradictions(t *testing.T) {
	for _, tc := range []struct {
		values map[string]string
		calls  int
		want   string // error; empty: none
		drain  time.Duration
	}{
		{nil, 0, "", 35 * time.Second},
		{nil, 1, "", 65 * time.Second},
		{nil, 3, "", 185 * time.Second},
		{map[string]string{"DRAIN_TIMEOUT": "61s"}, 1, "", 61 * time.Second},
		{map[string]string{"DRAIN_TIMEOUT": "0s"}, 0, "", 0},
		{map[string]string{"DRAIN_TIMEOUT": "60s"}, 1, `configuration: DRAIN_TIMEOUT: "60s": must be longer than 1m0s (UPSTREAM_TIMEOUT)`, time.Minute},
		{map[string]string{"DRAIN_TIMEOUT": "61s"}, 3, `configuration: DRAIN_TIMEOUT: "61s": must be longer than 3m0s (3 times UPSTREAM_TIMEOUT, as one request makes 3 calls)`, 61 * time.Second},
		{map[string]string{"LISTEN_ADDR": ":9090", "ADMIN_ADDR": ":9090"}, 1, `configuration: ADMIN_ADDR: ":9090": must differ from LISTEN_ADDR`, 65 * time.Second},
		{map[string]string{"LISTEN_ADDR": ":0", "ADMIN_ADDR": ":0"}, 1, "", 65 * time.Second},
	} {
		cfg, err := envtest.Read(tc.values, readConfig(tc.calls))
		if got := fmt.Sprint(err); got != cmp.Or(tc.want, "<nil>") || cfg.DrainTimeout != tc.drain {
			t.Errorf("%v, %d calls: got %q and %s, want %q and %s", tc.values, tc.calls, got, cfg.DrainTimeout, tc.want, tc.drain)
		}
	}
}

// asProgram is the variable with which the test binary runs Main.
const asProgram = "SERVER_TEST_PROGRAM"

func TestMain(m *testing.M) {
	outcome := os.Getenv(asProgram)
	if outcome == "" {
		os.Exit(m.Run())
	}
	os.Exit(server.Main(func(ctx context.Context, _ func(string) string, stdout io.Writer) error {
		if outcome == "fails" {
			return errors.New("one\ntwo")
		}
		_, _ = io.WriteString(stdout, "running\n")
		<-ctx.Done()
		return nil
	}))
}

func TestMainsExitCode(t *testing.T) {
	program := func(outcome string, argv ...string) (*exec.Cmd, *strings.Builder) {
		cmd := exec.Command(os.Args[0])
		cmd.Args = argv
		cmd.Env = append(os.Environ(), asProgram+"="+outcome)
		stderr := new(strings.Builder)
		cmd.Stderr = stderr
		return cmd, stderr
	}
	for _, tc := range []struct {
		outcome string
		argv    []string
		code    int
		stderr  string
	}{
		{"fails", []string{"webapp"}, 1, "one\ntwo\n"},
		{"fails", []string{"webapp", "-v"}, 2, `arguments: ["-v"]: must be none: a service is configured by its environment` + "\n"},
		{"fails", []string{"webapp", "java", "-jar"}, 2, `arguments: ["java" "-jar"]: must be none: a service is configured by its environment` + "\n"},
		{"fails", []string{"javac", "-v"}, 2, `arguments: ["-v"]: must be none: a service is configured by its environment` + "\n"},
		{"fails", []string{"java", "-Xmx50m", "-jar", "webapp.jar"}, 1, "one\ntwo\n"},
		{"fails", []string{"/usr/bin/java", "-jar", "webapp.jar"}, 1, "one\ntwo\n"},
	} {
		cmd, stderr := program(tc.outcome, tc.argv...)
		_ = cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != tc.code || stderr.String() != tc.stderr {
			t.Errorf("%q: got %d %q, want %d %q", tc.argv, code, stderr, tc.code, tc.stderr)
		}
	}
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		cmd, stderr := program("runs", "webapp")
		stdout, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "running\n" {
			t.Errorf("got %q, %v", line, err)
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil || stderr.String() != "" {
			t.Errorf("%v: got %v, %q", sig, err, stderr)
		}
	}
}
