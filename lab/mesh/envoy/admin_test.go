package envoy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/mesh/meshtest"
)

// running is a real Envoy that reads its listeners and clusters from files in dir.
type running struct {
	*Client
	meshtest.Envoy
	dir string
}

// start runs Envoy in front of upstream and waits until it is ready.
func start(t *testing.T, upstream string) *running {
	t.Helper()
	r := &running{dir: t.TempDir()}
	host, port, err := net.SplitHostPort(upstream)
	require.NoError(t, err)
	values := strings.NewReplacer("HOST", host, "PORT", port, "DIR", r.dir, "FORMAT", AccessLogFormat(), "VERSION", "1")
	for _, name := range []string{"cds.yaml", "lds.yaml", "envoy.yaml"} {
		r.write(t, name, values.Replace(adminFile(t, name)))
	}
	r.Envoy = meshtest.StartEnvoy(t, Args(filepath.Join(r.dir, "envoy.yaml"), 1)...)
	r.Client = NewClient(r.Admin)
	t.Cleanup(r.Close)
	return r
}

// adminFile returns a file of the tests' Envoy. Words in capitals in it stand for values.
func adminFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "admin", name))
	require.NoError(t, err)
	return string(text)
}

// write replaces a file by renaming, which Envoy watches for.
func (r *running) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(r.dir, name)
	require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o644))
	require.NoError(t, os.Rename(path+".new", path))
}

func (r *running) get(t *testing.T, want int) *http.Response {
	t.Helper()
	response, err := http.Get("http://" + r.Listener + "/driver/x")
	require.NoError(t, err)
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != want {
		t.Fatalf("status %d, not %d", response.StatusCode, want)
	}
	return response
}

const staffCluster = "outbound|8080||staff.default.svc.cluster.local"

func TestAnEnvoySeenByItsAdminInterface(t *testing.T) {
	var fail bool
	var mu sync.Mutex
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if fail {
			w.WriteHeader(http.StatusBadGateway)
		}
		fmt.Fprintln(w, "x")
	}))
	defer upstream.Close()
	r := start(t, upstream.Listener.Addr().String())

	for range 3 {
		r.get(t, http.StatusOK)
	}
	stats, err := r.Clusters(t.Context())
	require.NoError(t, err)
	if got := stats[staffCluster]; got == nil || got.Requests != 3 || got.Codes[200] != 3 || len(got.Codes) != 1 || got.Retries != 0 {
		t.Fatalf("three good requests: %+v", got)
	}
	if rejected, err := r.Rejected(t.Context()); err != nil || len(rejected) != 0 {
		t.Fatalf("rejected %v, %v, want none", rejected, err)
	}
	if connected, err := r.Connected(t.Context()); err != nil || connected {
		t.Errorf("with no istiod, connected is %v, %v", connected, err)
	}
	if ejected, err := r.Ejected(t.Context()); err != nil || len(ejected) != 0 {
		t.Errorf("ejected before any failure: %v, %v", ejected, err)
	}

	mark, err := r.Mark(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 7, mark, "the mark")
	warming, err := r.Warming(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 0, warming, "clusters and listeners that wait")

	mu.Lock()
	fail = true
	mu.Unlock()
	r.get(t, http.StatusBadGateway)                  // both attempts
	meshtest.Await(t, "the ejection", func() error { // the main thread ejects after the worker's response
		ejected, err := r.Ejected(t.Context())
		if err == nil && len(ejected) == 0 {
			err = fmt.Errorf("no host is ejected")
		}
		if err == nil && (len(ejected) != 1 || ejected[0].Cluster != staffCluster || ejected[0].Address.String() != upstream.Listener.Addr().String()) {
			t.Fatalf("ejected %+v", ejected)
		}
		return err
	})
	r.get(t, http.StatusServiceUnavailable)
	stats, err = r.Clusters(t.Context())
	require.NoError(t, err)
	if got := stats[staffCluster]; got.Retries != 1 || got.Requests != 5 || got.Codes[200] != 3 || got.Codes[502] != 1 || got.Codes[503] != 1 || got.Ejections != 1 || got.EjectedNow != 1 {
		t.Errorf("after failures: %+v", got)
	}

	var good, failed []AccessEntry
	var ejections []Ejection
	meshtest.Await(t, "the log", func() error {
		good, failed, ejections = nil, nil, nil
		for line := range strings.Lines(r.Log(t)) {
			if entry, ok := ParseAccess([]byte(line)); ok {
				if entry.Status == 200 {
					good = append(good, entry)
				} else {
					failed = append(failed, entry)
				}
			}
			if event, ok := ParseEjection([]byte(line)); ok {
				ejections = append(ejections, event)
			}
		}
		if len(good) != 3 || len(failed) != 2 || len(ejections) != 1 {
			return fmt.Errorf("%d good, %d failed, %d ejections", len(good), len(failed), len(ejections))
		}
		return nil
	})
	first := good[0]
	if first.Method != "GET" || first.Path != "/driver/x" || first.Flags != "-" || first.Cluster != staffCluster ||
		first.Upstream != upstream.Listener.Addr().String() || first.Tries != 1 || time.Since(first.Time).Abs() > time.Minute || first.Inbound() {
		t.Errorf("access entry %+v", first)
	}
	if first, second := failed[0], failed[1]; first.Flags != "URX" || first.Tries != 2 || first.Status != 502 ||
		second.Flags != "UH" || second.Status != 503 || second.Upstream != "" {
		t.Errorf("the failures: %+v", failed)
	}
	if e := ejections[0]; e.Action != "EJECT" || e.Type != "CONSECUTIVE_5XX" || e.Host != upstream.Listener.Addr().String() || e.Times != 1 || !e.Enforced || e.Cluster != staffCluster {
		t.Errorf("ejection %+v", e)
	}
}

func TestARejectedUpdateShows(t *testing.T) {
	upstream := httptest.NewServer(http.NotFoundHandler())
	defer upstream.Close()
	r := start(t, upstream.Listener.Addr().String())
	r.write(t, "lds.yaml", strings.NewReplacer("FORMAT", AccessLogFormat(), "VERSION", "2").Replace(adminFile(t, "lds.yaml")+adminFile(t, "rejected.yaml")))
	meshtest.Await(t, "the update to be rejected", func() error {
		rejected, err := r.Rejected(t.Context())
		if err != nil {
			return err
		}
		if len(rejected) == 0 {
			return fmt.Errorf("no update is rejected")
		}
		got := rejected[0]
		if len(rejected) != 1 || got.Stat != "listener_manager.lds.update_rejected" || got.Count != 1 || got.Resource != "bad" ||
			!strings.Contains(got.Details, "Didn't find a registered implementation for 'nobody.knows.it'") {
			t.Fatalf("rejected %+v", rejected)
		}
		if line := got.String(); !strings.HasPrefix(line, "bad: Didn't") || !strings.Contains(line, "lds.update_rejected is 1") {
			t.Errorf("as a line: %s", line)
		}
		return nil
	})
	// /ready does not report a rejection.
	if err := r.Ready(t.Context()); err != nil {
		t.Errorf("ready: %v", err)
	}
}

func TestDrainLosesNobody(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			<-release
		}
		fmt.Fprintln(w, "x")
	}))
	defer upstream.Close()
	r := start(t, upstream.Listener.Addr().String())
	slow := make(chan error, 1)
	go func() {
		response, err := http.Get("http://" + r.Listener + "/slow")
		if err == nil {
			response.Body.Close()
			if response.StatusCode != 200 {
				err = fmt.Errorf("status %d", response.StatusCode)
			}
		}
		slow <- err
	}()
	<-arrived
	meshtest.Await(t, "one request under way", func() error {
		if active, err := r.Active(t.Context()); err != nil || active != 1 {
			return fmt.Errorf("%d requests, %v", active, err)
		}
		return nil
	})
	require.NoError(t, r.Drain(t.Context()))
	if response := r.get(t, http.StatusOK); !response.Close {
		t.Error("a draining Envoy kept a connection open")
	}
	close(release)
	if err := <-slow; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	meshtest.Await(t, "no request under way", func() error {
		if active, err := r.Active(t.Context()); err != nil || active != 0 {
			return fmt.Errorf("%d requests, %v", active, err)
		}
		return nil
	})
}

func TestAdminAnswersThatAreNone(t *testing.T) {
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ready" {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, "PRE_INITIALIZING")
			return
		}
		fmt.Fprint(w, `{"stats": 3`)
	}))
	defer broken.Close()
	client := NewClient(netip.MustParseAddrPort(broken.Listener.Addr().String()))
	defer client.Close()
	if err := client.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "/ready: status 503: PRE_INITIALIZING") {
		t.Errorf("ready: %v", err)
	}
	for name, ask := range map[string]func(context.Context) error{
		"rejected": func(ctx context.Context) error { _, err := client.Rejected(ctx); return err },
		"ejected":  func(ctx context.Context) error { _, err := client.Ejected(ctx); return err },
		"active":   func(ctx context.Context) error { _, err := client.Active(ctx); return err },
	} {
		if err := ask(t.Context()); err == nil || !strings.Contains(err.Error(), "unexpected end of JSON input") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
