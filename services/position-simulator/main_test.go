package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/fleet"
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
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	}))
	t.Cleanup(f.Close)
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

// program is a running simulator.
type program struct {
	stop  context.CancelFunc
	ended chan error
	lines chan map[string]any // of the log; closed at the end
}

func start(t *testing.T, environment map[string]string) *program {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	p := &program{stop: stop, ended: make(chan error, 1), lines: make(chan map[string]any, 10_000)}
	read, write := io.Pipe()
	environment["ADMIN_ADDR"] = "127.0.0.1:0"
	go func() {
		p.ended <- run(ctx, envtest.Map(environment), write)
		write.Close()
	}()
	go func() {
		defer close(p.lines)
		for scan := bufio.NewScanner(read); scan.Scan(); {
			line := map[string]any{}
			if err := json.Unmarshal(scan.Bytes(), &line); err != nil {
				t.Errorf("log line %s: %v", scan.Text(), err)
			}
			p.lines <- line
		}
	}()
	return p
}

// line waits for a line of the log.
func (p *program) line(t *testing.T, msg string) map[string]any {
	t.Helper()
	late := time.After(2 * time.Minute)
	for {
		select {
		case l, ok := <-p.lines:
			if !ok {
				t.Fatalf("the log ended without %q", msg)
			}
			if l["msg"] == msg {
				return l
			}
		case <-late:
			t.Fatalf("no %q in the log", msg)
		}
	}
}

func (p *program) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(2 * time.Minute):
		t.Fatal("the program does not end")
		return nil
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
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
	p := start(t, map[string]string{"POSITION_TRACKER_URL": tracker.URL, "REPORT_INTERVAL": "20ms", "SEED": "5"})
	if got := p.line(t, "fleet"); got["vehicles"] != 5.0 || got["seed"] != 5.0 {
		t.Errorf("logged %v", got)
	}
	admin := "http://" + p.line(t, "listening")["admin"].(string)
	for range 60 {
		tracker.expect(t, "POST /vehicles/")
	}
	<-held
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		if status, body := get(t, admin+path); status != 200 || body != want {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
	status, metrics := get(t, admin+"/metrics")
	for _, want := range []string{
		`fleetman_simulator_reports_total{outcome="delivered"}`,
		`fleetman_simulator_report_duration_seconds_count{outcome="delivered"}`,
		`fleetman_simulator_reports_skipped_total`,
	} {
		if status != 200 || !strings.Contains(metrics, want) {
			t.Errorf("%d, no %s in\n%s", status, want, metrics)
		}
	}
	p.stop() // as SIGTERM does, while the Village Truck's report is in flight
	p.line(t, "draining")
	if status, _ := get(t, admin+"/healthz"); status != 200 {
		t.Errorf("draining, /healthz answers %d", status)
	}
	select {
	case err := <-p.ended:
		t.Fatalf("ended with a report in flight: %v", err)
	default:
	}
	close(release)
	if err := p.end(t); err != nil {
		t.Fatal(err)
	}
	for l := range p.lines {
		if l["level"] != "INFO" {
			t.Errorf("logged %v", l)
		}
	}
	checkReports(t, tracker)
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

// checkReports checks the received reports against the embedded routes.
func checkReports(t *testing.T, tracker *fakeTracker) {
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
		// The simulator has run for seconds, so it is among the first points.
		if !slices.ContainsFunc(routes[i].Points[:60], func(q track.Point) bool { return q.Lat == p.Lat && q.Lng == p.Lng }) {
			t.Errorf("%+v is not one of the first points of its route", p)
		}
		if !p.Timestamp.After(seen[p.Name]) || p.Speed != "" {
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
	p := start(t, map[string]string{"POSITION_TRACKER_URL": tracker.URL, "REPORT_INTERVAL": "10ms", "FLEET_SIZE": "1"})
	if got := p.line(t, "tracker does not answer yet"); got["error"] != "status 503 reading position-tracker DELETE /vehicles/City%20Truck" {
		t.Errorf("logged %v", got)
	}
	for range 2 {
		tracker.expect(t, "POST /vehicles/")
	}
	if n := len(tracker.forgotten); n != 3 {
		t.Errorf("%d DELETEs, want 3", n)
	}
	p.stop()
	if err := p.end(t); err != nil {
		t.Error(err)
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
			p := start(t, map[string]string{"POSITION_TRACKER_URL": tracker.URL, "REPORT_INTERVAL": "10ms", "FLEET_SIZE": "2"})
			admin := "http://" + p.line(t, "listening")["admin"].(string)
			if got := p.line(t, tc.msg); got[tc.attr] != tc.want || got["level"] != "WARN" || got["suppressed"] != 0.0 {
				t.Errorf("logged %v", got)
			}
			// The vehicle still reports.
			for range 20 {
				tracker.expect(t, "POST /vehicles/")
			}
			_, metrics := get(t, admin+"/metrics")
			if !strings.Contains(metrics, `fleetman_simulator_reports_total{outcome="`+tc.outcome+`"}`) || strings.Contains(metrics, `outcome="delivered"`) {
				t.Errorf("metrics\n%s", metrics)
			}
			p.stop()
			if err := p.end(t); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRunStopsWhileWaitingForTheTracker(t *testing.T) {
	p := start(t, map[string]string{"POSITION_TRACKER_URL": "127.0.0.1:1", "FLEET_SIZE": "1"})
	if got := p.line(t, "tracker does not answer yet"); got["error"] != "connection refused reading position-tracker DELETE /vehicles/City%20Truck" {
		t.Errorf("logged %v", got)
	}
	p.stop()
	if err := p.end(t); err != nil {
		t.Error(err)
	}
}

func TestRunErrors(t *testing.T) {
	tracker := newFakeTracker(t)
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "van"), []byte("lat=\"91\" lon=\"0\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
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
