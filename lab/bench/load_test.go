package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/wants"
)

func TestLoad(t *testing.T) {
	var served atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		if r.URL.Path == "/bad" {
			http.Error(w, "no", http.StatusTeapot)
		}
	}))
	defer server.Close()
	addr := server.Listener.Addr().String()
	same := func(path string) func(int) func([]byte) []byte {
		return func(int) func([]byte) []byte { return func(b []byte) []byte { return get(b, path) } }
	}
	n, err := load(context.Background(), addr, 20*time.Millisecond, same("/good"))
	require.NoError(t, err)
	assert.GreaterOrEqual(t, n, int64(connections))
	assert.Equal(t, served.Load(), n, "answered")
	_, err = load(context.Background(), addr, time.Minute, same("/bad"))
	assert.ErrorContains(t, err, "GET /bad HTTP/1.1: status 418: must be 200")
}

// Reports differ from each other and are what net/http and encoding/json read.
func TestReports(t *testing.T) {
	type position struct {
		Name, Timestamp string
		Lat, Lng        json.Number
	}
	seen := make(map[position]bool)
	r := reports{conn: 1}
	for i := range 3 * vehiclesEach {
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(r.append(nil))))
		require.NoError(t, err)
		var p position
		require.NoError(t, json.NewDecoder(req.Body).Decode(&p))
		assert.NotContains(t, seen, p, "report %d came before", i)
		seen[p] = true
	}
	assert.Contains(t, seen, position{"City Truck 66", "2024-01-01T00:00:02.000+0000", "50.00020005238452266693115234375", "-1.484639234840869903564453125"})
}

// The plain handlers make the hops and hand the answer on.
func TestPlain(t *testing.T) {
	var hops []string // with the requests to the first handlers, too
	serve := func(role string, upstreams ...string) (addr string) {
		t.Helper()
		handler, err := plainHandler(role, upstreams)
		require.NoError(t, err)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			hops = append(hops, role+" "+r.Method+" "+r.RequestURI)
			handler.ServeHTTP(w, r)
		}))
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	staff, telemetry := serve("staff"), serve("telemetry")
	for _, role := range []string{"handler", "proxy"} {
		hops = nil
		answer, err := ask(t.Context(), serve(role, staff), driverPath)
		require.NoError(t, err)
		wants.Text(t, role, answer, `{"name":"Pam Parry"…`)
		assert.Equal(t, []string{role + " GET " + driverPath, "staff GET /driver/City%20Truck"}, hops, role)
	}
	hops = nil
	resp, err := http.Post("http://"+serve("tracker", telemetry, staff)+"/vehicles/", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	assert.Equal(t, 200, resp.StatusCode, "status of tracker")
	assert.Equal(t, []string{
		"tracker POST /vehicles/", "telemetry GET /vehicles/City%20Truck", "telemetry POST /vehicles/", "staff POST /driver/City%20Truck/24.613470899561644",
	}, hops, "tracker")
	for role, upstreams := range map[string][]string{"tracker": {"one"}, "nobody": nil} { // too few addresses, unknown role
		_, err := plainHandler(role, upstreams)
		wants.Error(t, role, err, "plain: "+role+"…")
	}
}

func TestOptions(t *testing.T) {
	for only, want := range map[string]string{"": "", "chain": "", "sizes": `--only: "sizes": must be one of start, gateway, chain, fleet`} {
		wants.Error(t, only, (Options{Only: only}).Check(), want)
	}
}

func TestCounters(t *testing.T) {
	text, err := os.ReadFile("testdata/simulator.prom")
	require.NoError(t, err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) }))
	defer server.Close()
	admin := server.Listener.Addr().String()
	b := new(bench)
	got, err := b.counters(t.Context(), admin)
	want := counters{histogram{[]float64{.0005, .05, math.Inf(1)}, []float64{10, 91, 100}}, 5, 7}
	require.NoError(t, err)
	assert.Equal(t, want, got, "counters")
	text = nil
	_, err = b.counters(t.Context(), admin)
	wants.Error(t, "no metrics", err, "metrics of "+admin+": fleetman_simulator_reports_skipped_total: missing")
}
