package compare

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/load"
	"fleetman.example/lab/local"
	"fleetman.example/lab/record"
)

func TestRate(t *testing.T) {
	for text, want := range map[string]float64{
		"{rate: 50}": 50,
		"{steps: [{rate: 10, for: 5s}, {rate: 100, for: 5s}, {rate: 20}]}": 56, // of the 10 s from 1 s on: 4 s, 5 s and 1 s
		"{ramp: {from: 10, to: 130}}":                                      70,
	} {
		o := Options{Experiment: decode(t, "# q?\narms: [{name: a, manifests: x}]\nphases: {healthy: 1s, fault: 10s, after: 1s}\nload: "+text)}
		assert.InDelta(t, want, o.rate(), .11, text+", requests per second")
		assert.GreaterOrEqual(t, load.Count(o.schedule(), 12*time.Second), 10*12, text+", requests")
	}
}

// TestOnTime: a run whose load was late is measured again, a bounded number of
// times.
func TestOnTime(t *testing.T) {
	run := func(lateness time.Duration) *record.Run {
		r := new(record.Run)
		for range 100 {
			r.Requests = append(r.Requests, record.Request{Start: record.Offset(lateness)})
		}
		return r
	}
	for name, test := range map[string]struct {
		lateness []time.Duration // of each measurement
		want     int
		late     bool
		progress string
	}{
		"on time":     {[]time.Duration{time.Millisecond}, 1, false, ""},
		"late once":   {[]time.Duration{4 * time.Second, 0}, 2, false, "x: the load was late (p99 4s, at most 4s; must be p99 10ms, at most 250ms): measuring again\n"},
		"always late": {[]time.Duration{time.Second, time.Second, time.Second}, 3, true, strings.Repeat("x: the load was late (p99 1s, at most 1s; must be p99 10ms, at most 250ms): measuring again\n", 2) + "x: the load was late (p99 1s, at most 1s; must be p99 10ms, at most 250ms): kept and marked after measurement 3\n"},
	} {
		n, progress := 0, ""
		o := Options{Progress: func(line string) { progress += line + "\n" }}
		got, err := o.onTime("x", func() (*record.Run, error) {
			n++
			return run(test.lateness[n-1]), nil
		})
		require.NoError(t, err, name)
		assert.Equal(t, []int{test.want, test.want}, []int{n, got.Measurements}, name+", measurements")
		assert.Equal(t, test.late, got.Lateness().TooLate(), name+", late")
		assert.Equal(t, test.progress, progress, name)
	}
	_, err := (Options{}).onTime("x", func() (*record.Run, error) { return nil, errors.New("no fleet") })
	assert.EqualError(t, err, "no fleet")
}

// TestEventNames: the records' names are those of the fleet's events.
func TestEventNames(t *testing.T) {
	assert.Equal(t, []local.EventKind{local.Exited, local.Ejected, local.Returned}, []local.EventKind{record.EventExited, record.EventEjected, record.EventReturned})
}

// TestAway: a pod with the fault may be away when its breakers are read, another one may not.
func TestAway(t *testing.T) {
	r := &running{fleet: &localFleet{}, seen: record.Run{Pods: []string{"faulty-0"}}}
	assert.NoError(t, r.breakers(t.Context(), local.Pod{Name: "faulty-0", Address: "127.0.0.1", AdminPort: 1}))
	assert.Error(t, r.breakers(t.Context(), local.Pod{Name: "other-0", Address: "127.0.0.1", AdminPort: 1}))
}
