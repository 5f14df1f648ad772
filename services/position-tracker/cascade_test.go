package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fleetman.example/kit/server/servertest"
)

// staff has two replicas of staff-service, on one port of two addresses. The second one does not answer until it
// is released or its caller leaves.
type staff struct {
	url, hosts string // the URL with a name, and the hosts file with its addresses
	good, held atomic.Int64
	release    chan struct{}
}

func newStaff(t *testing.T) *staff {
	s := &staff{release: make(chan struct{})}
	good := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { s.good.Add(1) })
	slow := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s.held.Add(1)
		select {
		case <-s.release:
		case <-r.Context().Done():
		}
	})
	port, listeners := servertest.ListenAll(t, "127.0.1.1", "127.0.1.2")
	for i, h := range []http.Handler{good, slow} {
		server := &httptest.Server{Listener: listeners[i], Config: &http.Server{Handler: h}}
		server.Start()
		t.Cleanup(server.Close)
	}
	s.url, s.hosts = "http://staff:"+port, servertest.File(t, "hosts", "127.0.1.1 staff\n127.0.1.2 staff\n")
	return s
}

func reportOf(name string) string { return strings.Replace(first, "City Truck", name, 1) }

// As in the original, one slow replica of staff-service delays the reports that reach it: the tracker does not
// answer a report before staff-service has answered.
func TestOffOneSlowReplicaStallsReports(t *testing.T) {
	staff := newStaff(t)
	s, _ := startWith(t, "STAFF_SERVICE_URL", staff.url, "HOSTS_FILE", staff.hosts, "UPSTREAM_SEED", "1")
	const reports = 30
	var answered atomic.Int64
	answers := make(chan servertest.Answer, reports)
	for i := range reports {
		go func() {
			a := s.Call(t, "POST", "/vehicles/", reportOf(fmt.Sprint("vehicle ", i)))
			answered.Add(1)
			answers <- a
		}()
	}
	servertest.Eventually(t, "each report is answered or held", func() bool { return answered.Load()+staff.held.Load() == reports })
	if stalled := reports - answered.Load(); stalled == 0 || stalled != staff.held.Load() {
		t.Errorf("%d reports are not answered, %d are at the slow replica", stalled, staff.held.Load())
	}
	if a := s.Call(t, "GET", "/vehicles/", ""); strings.Count(a.Body, `"name"`) != reports {
		t.Errorf("stored before staff-service answers: %s", a.Body)
	}
	close(staff.release)
	for range reports {
		(<-answers).Is(t, 200, "", "X-Fallback", "")
	}
}

// With the library no report waits longer than an attempt. Answers without staff-service are marked, and after
// three failures the slow replica receives no calls.
func TestLibraryContainsOneSlowReplica(t *testing.T) {
	const reports, attempt, failures = 60, 100 * time.Millisecond, 3
	staff := newStaff(t)
	s, telemetry := startWith(t, "STAFF_SERVICE_URL", staff.url, "HOSTS_FILE", staff.hosts,
		"RESILIENCE", "library", "ATTEMPT_TIMEOUT", attempt.String(), "BREAKER_OPEN_TIME", "1h")
	telemetry.answers(speed("7.5"))
	var degraded []string
	var waited time.Duration // in whole attempts
	shortest := time.Hour    // of those without staff-service
	for i := range reports {
		begin := time.Now()
		a := s.Call(t, "POST", "/vehicles/", reportOf(fmt.Sprint("vehicle ", i)))
		took := time.Since(begin)
		waited += took.Truncate(attempt)
		if a.Header.Get("X-Fallback") != "" {
			shortest = min(shortest, took)
		}
		a.Is(t, 200, "")
		degraded = append(degraded, a.Header["X-Fallback"]...)
	}
	if shortest >= 5*attempt { // a busy machine may delay some of them
		t.Errorf("the fastest report without staff-service took %s, want about %s", shortest, attempt)
	}
	held, good := staff.held.Load(), staff.good.Load()
	if held > failures {
		t.Errorf("%d calls at the slow replica, want at most %d", held, failures)
	}
	// If reports waited for more attempts than the breaker takes, a busy machine delayed other calls, too.
	want := slices.Repeat([]string{"speed-dropped"}, failures)
	if waited <= failures*attempt && (!slices.Equal(degraded, want) || good != reports-failures) {
		t.Errorf("degraded: %q, want %q; %d calls at the good replica, want %d", degraded, want, good, reports-failures)
	}
	if state := s.Admin(t, "GET", "/resilience", "").Body; !regexp.MustCompile(`"address":"127\.0\.1\.2:\d+","state":"open".*"lastFailure":"no answer in time"`).MatchString(state) {
		t.Errorf("the state does not show the open breaker:\n%s", state)
	}
}

// The answer names what is missing, and each kind is counted.
func TestFallbacks(t *testing.T) {
	s, u := startWith(t, "RESILIENCE", "library", "BREAKER_FAILURES", "0", "RETRY_ATTEMPTS", "0", "UPSTREAM_TIMEOUT", "2m", "ATTEMPT_TIMEOUT", "1m")
	failing := func(status int, parts ...string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			for _, part := range parts {
				if strings.Contains(r.Method+" "+r.URL.Path, part) {
					w.WriteHeader(status)
					return
				}
			}
			speed("7.5")(w, r)
		}
	}
	upstreamOf := map[string]string{"no-speed": "vehicle-telemetry", "not-passed-on": "vehicle-telemetry", "speed-dropped": "staff-service"}
	times := make(map[string]int)
	for _, tc := range []struct {
		name  string
		fails []string
		want  []string
		speed string
	}{
		{"all is well", nil, nil, "7.5"},
		{"no speed", []string{"GET /vehicles/"}, []string{"no-speed"}, "12.5"},
		{"no staff", []string{"POST /driver/"}, []string{"speed-dropped"}, "7.5"},
		{"neither", []string{"GET /vehicles/", "POST /driver/"}, []string{"no-speed", "speed-dropped"}, "12.5"},
		{"not passed on", []string{"POST /vehicles/"}, []string{"not-passed-on"}, "7.5"},
		{"nothing", []string{"/"}, []string{"no-speed", "not-passed-on", "speed-dropped"}, "12.5"},
	} {
		for _, status := range []int{http.StatusBadGateway, http.StatusTooManyRequests, http.StatusNotFound} {
			name := fmt.Sprint(tc.name, " ", status)
			u.answers(failing(status, tc.fails...))
			a := s.Call(t, "POST", "/vehicles/", reportOf(name))
			if a.Status != 200 || a.Body != "" || fmt.Sprint(a.Header["X-Fallback"]) != fmt.Sprint(tc.want) {
				t.Errorf("%s: got %d %s, X-Fallback: %q, want %q", name, a.Status, a.Body, a.Header["X-Fallback"], tc.want)
			}
			if a := s.Call(t, "GET", "/vehicles/"+strings.ReplaceAll(name, " ", "%20"), ""); !strings.HasSuffix(a.Body, `,"speed":`+tc.speed+`}`) {
				t.Errorf("%s: kept %s", name, a.Body)
			}
			for _, kind := range tc.want {
				times[kind]++
			}
		}
	}
	metrics := s.Admin(t, "GET", "/metrics", "").Body
	for kind, n := range times {
		if !regexp.MustCompile(fmt.Sprintf(`fleetman_upstream_fallbacks_total\{fleetman_fallback="%s"[^\n]*server_address="%s"[^\n]*\} %d\n`, kind, upstreamOf[kind], n)).MatchString(metrics) {
			t.Errorf("%s is not counted %d times:\n%s", kind, n, metrics)
		}
	}
	off, u := startWith(t, "RESILIENCE", "off", "BREAKER_FAILURES", "0", "RETRY_ATTEMPTS", "0")
	u.answers(failing(http.StatusBadGateway, "POST /driver/"))
	off.Call(t, "POST", "/vehicles/", first).Has(t, 500, "", "X-Fallback", "")
}

// A report whose three calls all take the longest time is accepted before SIGTERM and answered after it.
func TestDrainOutlastsThreeSlowCalls(t *testing.T) {
	s, u := startWith(t, "UPSTREAM_TIMEOUT", "300ms")
	arrived := make(chan struct{}, 3)
	u.answers(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	var answer servertest.Answer
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		answer = s.Call(t, "POST", "/vehicles/", first)
	}()
	select {
	case <-arrived:
	case <-answered: // a busy machine took all of the time
	}
	if err := s.Stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	<-answered
	answer.Has(t, 500, "no answer in time reading staff-service POST /driver/")
}
