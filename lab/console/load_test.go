package console

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/wants"
)

func TestLoadLimits(t *testing.T) {
	g := newGenerator(&fake{})
	defer g.close()
	for _, test := range []struct {
		rate float64
		mix  map[string]int
		want string
	}{
		{201, nil, "rate: 201: must be between 0 and 200 requests per second"},
		{-1, nil, "rate: -1: must be between 0 and 200 requests per second"},
		{5, map[string]int{"driver": -1}, "mix: driver: -1: must be between 0 and 100"},
		{5, map[string]int{"other": 1}, `mix: "other": must be positions, driver or history`},
		{5, map[string]int{"driver": 0}, "mix: all 0: must have a stream with a share above 0"},
		{0, map[string]int{}, ""},
	} {
		wants.Error(t, fmt.Sprint(test.rate, test.mix), g.set(test.rate, test.mix), test.want)
	}
}

// TestLoad sends a load to a server that fails, degrades or answers in turn, and compares the counts with the server's.
func TestLoad(t *testing.T) {
	var n, good, degraded, failed atomic.Int64
	var drivers atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/vehicles/" {
			fmt.Fprint(w, `[{"name":"A b"},{"name":"C"}]`)
			if n.Load() > 0 {
				good.Add(1)
			}
			return
		}
		if strings.HasPrefix(r.URL.EscapedPath(), "/vehicles/driver/A%20b") {
			drivers.Add(1)
		}
		switch n.Add(1) % 3 {
		case 0:
			failed.Add(1)
			http.Error(w, "no", http.StatusBadGateway)
		case 1:
			degraded.Add(1)
			w.Header().Set("X-Fallback", "last-known; age=1s")
		default:
			good.Add(1)
		}
	}))
	defer server.Close()
	source := &fake{entry: server.Listener.Addr().String()}
	g := newGenerator(source)
	require.NoError(t, g.set(100, map[string]int{"driver": 1}))
	for deadline := time.Now().Add(2 * time.Minute); n.Load() < 50 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	require.NoError(t, g.set(0, nil))
	g.going.Wait()
	var s State
	g.take(&s)
	want := LoadState{Sent: int(n.Load()), Good: int(good.Load()), Degraded: int(degraded.Load()), Failed: int(failed.Load()), Target: server.URL, P50: s.Load.P50, P99: s.Load.P99}
	assert.Equal(t, want, s.Load)
	assert.NotZero(t, drivers.Load(), "requests for one vehicle")
	assert.LessOrEqual(t, s.Load.P50, s.Load.P99)
	point := Point{Of: "load", Good: float64(want.Good), Degraded: float64(want.Degraded), Failed: float64(want.Failed)}
	assert.Equal(t, point, s.Point)
	g.take(&s)
	assert.Equal(t, point, s.Point, "unchanged: the load is off")
	g.close()
}

// TestLearn: vehicles are those of a whole answer.
func TestLearn(t *testing.T) {
	answer := `[{"name":"City Truck"},{"name":5}]`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) }))
	defer server.Close()
	g := newGenerator(&fake{entry: server.Listener.Addr().String()})
	defer g.close()
	entry, err := g.entry(t.Context())
	require.NoError(t, err)
	g.learn(t.Context(), entry.url())
	require.Empty(t, g.names, "of a wrong answer")
	answer = `[{"name":"City Truck"}]`
	g.learn(t.Context(), entry.url())
	require.Equal(t, []string{"City Truck"}, g.names)
}
