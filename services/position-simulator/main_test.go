package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/fleet"
	"fleetman.example/kit/server/servertest"
	"fleetman.example/services/position-simulator/track"
)

// fakeTracker is a position-tracker with settable answers.
type fakeTracker struct {
	*httptest.Server
	calls     chan string // all calls except DELETEs
	forgotten chan string // paths of DELETEs
	answer    func(w http.ResponseWriter, r *http.Request, p fleet.Position)

	mu      sync.Mutex
	reports []fleet.Position
}

func newFakeTracker(t *testing.T) *fakeTracker {
	f := &fakeTracker{calls: make(chan string, 100_000), forgotten: make(chan string, 100_000), answer: func(http.ResponseWriter, *http.Request, fleet.Position) {}}
	f.Server = servertest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		var p fleet.Position
		if r.Method == http.MethodPost {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			if p, err = fleet.Decode(body, time.Now()); err != nil {
				t.Errorf("report %s: %v", body, err)
			}
			if got := r.Header.Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type %q", got)
			}
			f.mu.Lock()
			f.reports = append(f.reports, p)
			f.mu.Unlock()
		}
		if r.Method == http.MethodDelete {
			f.forgotten <- r.URL.Path
		} else {
			f.calls <- r.Method + " " + r.URL.Path
		}
		f.answer(w, r, p)
	})
	return f
}

func (f *fakeTracker) expect(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-f.calls:
		if got != want {
			t.Fatalf("call %s, want %s", got, want)
		}
	case <-time.After(2 * time.Minute):
		t.Fatalf("no call, want %s", want)
	}
}

func TestRunDrivesFiveVehiclesAndDrains(t *testing.T) {
	tracker := newFakeTracker(t)
	held, release := make(chan fleet.Position, 1), make(chan struct{})
	var hold sync.Once
	tracker.answer = func(w http.ResponseWriter, r *http.Request, p fleet.Position) {
		if p.Name != "Village Truck" {
			return
		}
		hold.Do(func() {
			held <- p
			<-release
			if err := r.Context().Err(); err != nil {
				t.Errorf("the report in flight at the stop was aborted: %v", err)
			}
		})
	}
	begin := time.Now()
	s := servertest.Start(t, run, map[string]string{"POSITION_TRACKER_URL": tracker.URL, "REPORT_INTERVAL": "20ms", "SEED": "5"})
	if got := s.Line(t, "fleet"); got["vehicles"] != 5.0 || got["seed"] != 5.0 {
		t.Errorf("logged %v", got)
	}
	for range 60 {
		tracker.expect(t, "POST /vehicles/")
	}
	<-held
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		s.Admin(t, "GET", path, "").Is(t, 200, want)
	}
	metrics := s.Admin(t, "GET", "/metrics", "")
	for _, want := range []string{
		`fleetman_simulator_reports_total{outcome="delivered"}`,
		`fleetman_simulator_report_duration_seconds_count{outcome="delivered"}`,
		`fleetman_simulator_reports_skipped_total`,
	} {
		metrics.Has(t, 200, want)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Stop() }() // while the Village Truck's report is in flight
	s.Line(t, "draining")
	s.Admin(t, "GET", "/healthz", "").Has(t, 200, "")
	select {
	case err := <-ended:
		t.Fatalf("ended with a report in flight: %v", err)
	default:
	}
	close(release)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for _, l := range s.Lines(t) {
		if l["level"] != "INFO" {
			t.Errorf("logged %v", l)
		}
	}
	checkReports(t, tracker, time.Since(begin))
	close(tracker.forgotten)
	forgotten := slices.Sorted(func(yield func(string) bool) {
		for path := range tracker.forgotten {
			yield(path)
		}
	})
	if want := []string{"/vehicles/City Truck", "/vehicles/Huddersfield Truck A", "/vehicles/Huddersfield Truck B", "/vehicles/London Riverside", "/vehicles/Village Truck"}; !slices.Equal(forgotten, want) {
		t.Errorf("forgot %q, want %q", forgotten, want)
	}
}

// checkReports checks the reports that were received within a time against the embedded routes.
func checkReports(t *testing.T, tracker *fakeTracker, within time.Duration) {
	t.Helper()
	routes, _, err := loadRoutes("")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]time.Time{}
	for _, p := range tracker.reports {
		i := slices.IndexFunc(routes, func(r *route) bool { return r.Name == p.Name })
		if i < 0 {
			t.Fatalf("unknown vehicle in %+v", p)
		}
		passed := routes[i].Points[:1+int(within/time.Second)] // one a second
		if !slices.ContainsFunc(passed, func(q track.Point) bool { return q.Lat == p.Lat && q.Lng == p.Lng }) {
			t.Errorf("%+v is not one of the first %d points of its route", p, len(passed))
		}
		// Two times are in one millisecond if a busy machine sends the first report late.
		if p.Timestamp.Before(seen[p.Name]) || p.Speed != "" {
			t.Errorf("%+v after %v", p, seen[p.Name])
		}
		seen[p.Name] = p.Timestamp
	}
	if len(seen) != 5 {
		t.Errorf("vehicles %v", seen)
	}
}

func TestRunWaitsForTheTracker(t *testing.T) {
	tracker := newFakeTracker(t)
	deletes := 0 // of one vehicle, in sequence
	tracker.answer = func(w http.ResponseWriter, r *http.Request, _ fleet.Position) {
		if r.Method == http.MethodDelete {
			if deletes++; deletes < 3 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}
	}
	s := servertest.Start(t, run, map[string]string{"POSITION_TRACKER_URL": tracker.URL, "REPORT_INTERVAL": "10ms", "FLEET_SIZE": "1"})
	if got := s.Line(t, "tracker does not answer yet"); got["error"] != "status 503 reading position-tracker DELETE /vehicles/City%20Truck" {
		t.Errorf("logged %v", got)
	}
	for range 2 {
		tracker.expect(t, "POST /vehicles/")
	}
	if n := len(tracker.forgotten); n != 3 {
		t.Errorf("%d DELETEs, want 3", n)
	}
}

func TestRunReportsOutcomes(t *testing.T) {
	for _, tc := range []struct {
		name, outcome, msg string
		answer             int
		attr               string
		want               any
	}{
		{"refused", "refused", "report refused", 400, "answer", `no {"such"} thing`},
		{"failed", "failed", "report failed", 502, "error", "status 502 reading position-tracker POST /vehicles/"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tracker := newFakeTracker(t)
			tracker.answer = func(w http.ResponseWriter, r *http.Request, _ fleet.Position) {
				if r.Method == http.MethodPost {
					w.WriteHeader(tc.answer)
					_, _ = io.WriteString(w, `no {"such"} thing`)
				}
			}
			s := servertest.Start(t, run, map[string]string{"POSITION_TRACKER_URL": tracker.URL, "REPORT_INTERVAL": "10ms", "FLEET_SIZE": "2"})
			if got := s.Line(t, tc.msg); got[tc.attr] != tc.want || got["level"] != "WARN" || got["suppressed"] != 0.0 {
				t.Errorf("logged %v", got)
			}
			// The vehicle still reports.
			for range 20 {
				tracker.expect(t, "POST /vehicles/")
			}
			metrics := s.Admin(t, "GET", "/metrics", "").Body
			if !strings.Contains(metrics, `fleetman_simulator_reports_total{outcome="`+tc.outcome+`"}`) || strings.Contains(metrics, `outcome="delivered"`) {
				t.Errorf("metrics\n%s", metrics)
			}
		})
	}
}

func TestRunStopsWhileWaitingForTheTracker(t *testing.T) {
	s := servertest.Start(t, run, map[string]string{"POSITION_TRACKER_URL": "127.0.0.1:1", "FLEET_SIZE": "1"}) // and stops it without an error
	if got := s.Line(t, "tracker does not answer yet"); got["error"] != "connection refused reading position-tracker DELETE /vehicles/City%20Truck" {
		t.Errorf("logged %v", got)
	}
}

func TestRunErrors(t *testing.T) {
	tracker := newFakeTracker(t)
	broken := filepath.Dir(servertest.File(t, "van", "lat=\"91\" lon=\"0\"\n"))
	for _, tc := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"environment", map[string]string{"FLEET_SIZE": "none", "SEED": "x"}, "configuration: FLEET_SIZE: \"none\": must be a whole number from 1 to 100000\nSEED: \"x\": must be a whole number from 0 to 18446744073709551615"},
		{"tracks", map[string]string{"TRACKS_DIR": broken}, `configuration: TRACKS_DIR: "` + broken + `": van: line 1: lat: "91": must be a decimal number from -90 to 90`},
		{"admin port taken", map[string]string{"ADMIN_ADDR": strings.TrimPrefix(tracker.URL, "http://"), "POSITION_TRACKER_URL": "127.0.0.1:1"}, "ADMIN_ADDR: listen tcp "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := run(t.Context(), envtest.Map(tc.env), io.Discard)
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}
