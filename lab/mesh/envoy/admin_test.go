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
	"fleetman.example/lab/wants"
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
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	require.Equal(t, want, response.StatusCode, "status")
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
	got := stats[staffCluster]
	require.NotNil(t, got)
	assert.Equal(t, []any{uint64(3), map[int]uint64{200: 3}, uint64(0)}, []any{got.Requests, got.Codes, got.Retries}, "three good requests")
	rejected, err := r.Rejected(t.Context())
	require.NoError(t, err)
	assert.Empty(t, rejected, "rejected")
	connected, err := r.Connected(t.Context())
	require.NoError(t, err)
	assert.False(t, connected, "connected, with no istiod")
	ejected, err := r.Ejected(t.Context())
	require.NoError(t, err)
	assert.Empty(t, ejected, "ejected before any failure")

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
		if err == nil {
			require.Equal(t, []Host{{staffCluster, netip.MustParseAddrPort(upstream.Listener.Addr().String())}}, ejected, "ejected")
		}
		return err
	})
	r.get(t, http.StatusServiceUnavailable)
	stats, err = r.Clusters(t.Context())
	require.NoError(t, err)
	got = stats[staffCluster]
	assert.Equal(t, map[int]uint64{200: 3, 502: 1, 503: 1}, got.Codes, "responses after failures")
	assert.Equal(t, []uint64{1, 5, 1, 1}, []uint64{got.Retries, got.Requests, got.Ejections, got.EjectedNow}, "retries, requests, ejections, hosts that are ejected")

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
	assert.True(t, first.Method == "GET" && first.Path == "/driver/x" && first.Flags == "-" && first.Cluster == staffCluster &&
		first.Upstream == upstream.Listener.Addr().String() && first.Tries == 1 && time.Since(first.Time).Abs() < time.Minute && !first.Inbound(), "access entry %+v", first)
	retried, refused := failed[0], failed[1]
	assert.Equal(t, []any{"URX", 2, 502}, []any{retried.Flags, retried.Tries, retried.Status}, "the failure of both attempts")
	assert.Equal(t, []any{"UH", 503, ""}, []any{refused.Flags, refused.Status, refused.Upstream}, "the failure without a host")
	assert.Equal(t, Ejection{
		Time: ejections[0].Time, Cluster: staffCluster, Host: upstream.Listener.Addr().String(), Action: "EJECT", Type: "CONSECUTIVE_5XX", Times: 1, Enforced: true,
	}, ejections[0], "ejection")
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
		require.Len(t, rejected, 1, "rejections")
		got := rejected[0]
		require.Equal(t, []any{"listener_manager.lds.update_rejected", 1, "bad"}, []any{got.Stat, got.Count, got.Resource}, "rejection")
		wants.Text(t, "as a line", got.String(), "bad: Didn't find a registered implementation for 'nobody.knows.it'…lds.update_rejected is 1)")
		return nil
	})
	// /ready does not report a rejection.
	assert.NoError(t, r.Ready(t.Context()), "ready")
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
	assert.True(t, r.get(t, http.StatusOK).Close, "a draining Envoy closes the connection")
	close(release)
	assert.NoError(t, <-slow, "the request in flight")
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
	assert.ErrorContains(t, client.Ready(t.Context()), "/ready: status 503: PRE_INITIALIZING", "ready")
	for name, ask := range map[string]func(context.Context) error{
		"rejected": func(ctx context.Context) error { _, err := client.Rejected(ctx); return err },
		"ejected":  func(ctx context.Context) error { _, err := client.Ejected(ctx); return err },
		"active":   func(ctx context.Context) error { _, err := client.Active(ctx); return err },
	} {
		assert.ErrorContains(t, ask(t.Context()), "unexpected end of JSON input", name)
	}
}
