package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"fleetman.example/kit/apierror"
	"fleetman.example/kit/fault"
	"fleetman.example/kit/observe"
	"fleetman.example/kit/server/servertest"
)

// service is a router with faults and its listener.
type service struct {
	*httptest.Server
	o      *observe.Observer
	set    *fault.Set
	spans  *tracetest.SpanRecorder
	exited atomic.Int64 // code + 1
	served atomic.Int64
	left   chan struct{} // receives when a request leaves the middleware

	mu   sync.Mutex
	body string // of the last request, as read by the handler
}

const answerBody = "0123456789abcdefghij"

func start(t *testing.T, rules string) *service {
	t.Helper()
	o := servertest.Observer(t)
	count := o.Counter("fleetman.faults", "x")
	s := &service{o: o, set: fault.NewSet(1, servertest.Must(fault.Parse(rules)), time.Now), spans: tracetest.NewSpanRecorder(), left: make(chan struct{}, 100)}
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(s.spans)).Tracer("test")
	injector := fault.Injector{Set: s.set, Log: o.Log, Count: count, Exit: func(code int) { s.exited.Store(int64(code) + 1) }}
	r := gin.New()
	r.Use(func(c *gin.Context) {
		defer func() { s.left <- struct{}{} }()
		ctx, span := tracer.Start(c.Request.Context(), "request")
		defer span.End()
		c.Request = c.Request.WithContext(ctx)
		c.Next()
	}, o.Middleware(true), injector.Middleware)
	r.Any("/vehicles", s.handle)
	r.GET("/empty", func(c *gin.Context) { s.served.Add(1); c.Status(http.StatusOK) })
	r.GET("/error", func(c *gin.Context) { apierror.Write(c, apierror.New(http.StatusNotFound, "no such thing")) })
	s.Server = servertest.Serve(t, r.ServeHTTP)
	return s
}

func (s *service) handle(c *gin.Context) {
	s.served.Add(1)
	body, err := io.ReadAll(c.Request.Body)
	s.mu.Lock()
	s.body = fmt.Sprint(string(body), err)
	s.mu.Unlock()
	c.String(http.StatusOK, answerBody)
}

// call makes one request on a connection of its own and reads the answer, or a part of it.
func (s *service) call(ctx context.Context, method, path, body string) (*http.Response, string, error) {
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(httptest.NewRequestWithContext(ctx, method, s.URL+path, strings.NewReader(body)))
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp, string(text), err
}

// wants fails the test if the metrics have no line with all of parts.
func (s *service) wants(t *testing.T, parts ...string) {
	t.Helper()
	text := servertest.Metrics(t, s.o)
	for line := range strings.Lines(text) {
		found := true
		for _, part := range parts {
			found = found && strings.Contains(line, part)
		}
		if found {
			return
		}
	}
	t.Errorf("no line of the metrics has all of %q:\n%s", parts, text)
}

// spanFaults returns the faults in the request's span.
func (s *service) spanFaults() (kinds string) {
	for _, span := range s.spans.Ended() {
		for _, a := range span.Attributes() {
			if a.Key == "fleetman.fault" {
				kinds += a.Value.AsString() + " "
			}
		}
	}
	return kinds
}

func TestNoFault(t *testing.T) {
	s := start(t, "reset,path=/elsewhere")
	resp, body, err := s.call(t.Context(), "POST", "/vehicles", "a report")
	if err != nil || resp.StatusCode != 200 || body != answerBody || resp.Header[fault.Header] != nil || s.body != "a report<nil>" {
		t.Errorf("got %v %q %v, the handler %q", resp, body, err, s.body)
	}
	if s.spanFaults() != "" || strings.Contains(servertest.Metrics(t, s.o), "fleetman_fault") {
		t.Errorf("got a fault: %s%s", s.spanFaults(), servertest.Metrics(t, s.o))
	}
}

// Each kind of fault, as observed by a caller, by metrics and in the span.
func TestKinds(t *testing.T) {
	for rule, want := range map[string]struct {
		status  int    // 0: no answer
		body    string // received part of the body
		err     error
		header  string // X-Fault of the answer
		length  int64
		reached bool   // whether the handler is called
		measure string // labels of the request's measurement
	}{
		"delay=50ms":            {200, answerBody, nil, "[delay]", 20, true, `http_response_status_code="200"`},
		"status=502":            {502, "", nil, "[status]", 0, false, `http_response_status_code="502"`},
		"status=204":            {204, "", nil, "[status]", 0, false, `http_response_status_code="204"`},
		"delay=1ms;status=503":  {503, "", nil, "[delay status]", 0, false, `http_response_status_code="503"`},
		"reset":                 {0, "", syscall.ECONNRESET, "", 0, false, `error_type="aborted"`},
		"delay=1ms;reset":       {0, "", syscall.ECONNRESET, "", 0, false, `error_type="aborted"`},
		"truncate":              {200, "", io.ErrUnexpectedEOF, "[truncate]", 20, true, `error_type="aborted"`},
		"truncate=7":            {200, answerBody[:7], io.ErrUnexpectedEOF, "[truncate]", 20, true, `error_type="aborted"`},
		"truncate=1000":         {200, answerBody[:19], io.ErrUnexpectedEOF, "[truncate]", 20, true, `error_type="aborted"`},
		"truncate=9;truncate=3": {200, answerBody[:3], io.ErrUnexpectedEOF, "[truncate truncate]", 20, true, `error_type="aborted"`},
		"truncate;status=502":   {502, "", io.ErrUnexpectedEOF, "[truncate status]", 1, false, `error_type="aborted"`},
		"slow=1000":             {200, answerBody, nil, "[slow]", 20, true, `http_response_status_code="200"`},
		"slow=1000;truncate=5":  {200, answerBody[:5], io.ErrUnexpectedEOF, "[slow truncate]", 20, true, `error_type="aborted"`},
		"idle=1h":               {200, answerBody, nil, "[]", 20, true, `http_response_status_code="200"`},
		"crash":                 {200, answerBody, nil, "[crash]", 20, true, ""}, // the test's Exit returns
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			s := start(t, rule)
			begin := time.Now()
			resp, body, err := s.call(t.Context(), "POST", "/vehicles", "a report")
			took := time.Since(begin)
			<-s.left
			if !errors.Is(err, want.err) || (resp == nil) != (want.status == 0) || body != want.body {
				t.Fatalf("got %v %q %v", resp, body, err)
			}
			if resp != nil && (resp.StatusCode != want.status || fmt.Sprint(resp.Header[fault.Header]) != want.header || resp.ContentLength != want.length) {
				t.Errorf("got %d %s, %d bytes announced", resp.StatusCode, resp.Header[fault.Header], resp.ContentLength)
			}
			if reached := s.served.Load() == 1; reached != want.reached || reached && s.body != "a report<nil>" {
				t.Errorf("handler called: %t, with body %q", reached, s.body)
			}
			if rule == "delay=50ms" && took < 50*time.Millisecond {
				t.Errorf("answered after %s", took)
			}
			if crashed := s.exited.Load() == 2; crashed != (rule == "crash") {
				t.Errorf("exit code %d", s.exited.Load()-1)
			}
			var kinds []string
			for one := range strings.SplitSeq(rule, ";") {
				kind, _, _ := strings.Cut(one, "=")
				if kind == "idle" { // it has not yet happened, and nothing announces it
					return
				}
				kinds = append(kinds, kind)
				s.wants(t, "fleetman_faults_total{", `fleetman_fault="`+kind+`"`)
			}
			s.wants(t, "http_server_request_duration_seconds_count", `fleetman_fault="`+strings.Join(kinds, ",")+`"`, want.measure)
			if s.spanFaults() == "" {
				t.Error("the span does not have the fault")
			}
		})
	}
}

func TestCountsEachInjection(t *testing.T) {
	s := start(t, "delay=1ms,count=2;status=503,retry-after=7s,count=3")
	for i, want := range []string{"503 [delay status] 7", "503 [delay status] 7", "503 [status] 7", "200 [] "} {
		resp, _, err := s.call(t.Context(), "GET", "/vehicles", "")
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%d %s %s", resp.StatusCode, resp.Header[fault.Header], resp.Header.Get("Retry-After")); got != want {
			t.Errorf("answer %d: %s, want %s", i+1, got, want)
		}
	}
	s.wants(t, `fleetman_faults_total{fleetman_fault="delay"`, "} 2\n")
	s.wants(t, `fleetman_faults_total{fleetman_fault="status"`, "} 3\n")
}

// A request that waits for its start is answered later, one above the queue 503 at once.
func TestCapacityAnswers(t *testing.T) {
	s := start(t, "capacity=20,queue=1")
	type answer struct {
		status       int
		body, header string
	}
	answers := make(chan answer, 3)
	for range 3 {
		go func() {
			resp, body, err := s.call(t.Context(), "POST", "/vehicles", "a report")
			if err != nil {
				t.Error(err)
				resp = &http.Response{}
			}
			answers <- answer{resp.StatusCode, body, fmt.Sprint(resp.Header[fault.Header])}
		}()
	}
	counts := make(map[answer]int)
	for range 3 {
		counts[<-answers]++
	}
	// a slow machine spreads the three over more than one start: then fewer wait or are refused
	once, waited, refused := counts[answer{200, answerBody, "[]"}], counts[answer{200, answerBody, "[capacity]"}], counts[answer{503, "", "[capacity]"}]
	if once < 1 || once+waited+refused != 3 || waited > 1 && once == 1 && refused > 0 {
		t.Errorf("got %v", counts)
	}
	if injected := waited + refused; injected > 0 {
		s.wants(t, `fleetman_faults_total{fleetman_fault="capacity"`, fmt.Sprintf("} %d\n", injected))
	}
}

// An answer without a body, and one with an error, are truncated too.
func TestTruncateOtherAnswers(t *testing.T) {
	s := start(t, "truncate=4")
	for path, want := range map[string]struct {
		status int
		body   string
	}{"/empty": {200, ""}, "/error": {404, `{"ti`}} {
		resp, body, err := s.call(t.Context(), "GET", path, "")
		if !errors.Is(err, io.ErrUnexpectedEOF) || body != want.body || resp.StatusCode != want.status {
			t.Errorf("%s: got %v %q %v", path, resp, body, err)
		}
	}
}

// When a caller leaves, its request ends during each kind of fault, without an answer.
func TestCallerLeaves(t *testing.T) {
	for _, rule := range []string{"hang", "delay=1h", "delay=1h;status=502", "slow=1"} {
		for _, body := range []string{"", "a report"} {
			t.Run(rule+" "+body, func(t *testing.T) {
				t.Parallel()
				s := start(t, rule)
				ctx, leave := context.WithCancel(t.Context())
				gone := make(chan error)
				go func() {
					_, _, err := s.call(ctx, "POST", "/vehicles", body)
					gone <- err
				}()
				servertest.Eventually(t, "the fault is met", func() bool { return strings.Contains(servertest.Metrics(t, s.o), "fleetman_faults_total{") })
				leave()
				if err := <-gone; !errors.Is(err, context.Canceled) {
					t.Errorf("the caller got %v", err)
				}
				<-s.left // the request has ended
				if rule != "slow=1" && s.served.Load() != 0 {
					t.Error("the handler was called after the caller had left")
				}
				servertest.Eventually(t, "measured as aborted", func() bool { return strings.Contains(servertest.Metrics(t, s.o), `error_type="aborted"`) })
			})
		}
	}
}

// After the caller's timeout, a caller that has not closed its connection receives no answer.
func TestCallerTimeout(t *testing.T) {
	for _, rule := range []string{"delay=1h", "hang"} {
		s := start(t, rule)
		s.Config.Handler = withTimeout(s.Config.Handler)
		if resp, body, err := s.call(t.Context(), "GET", "/vehicles", ""); !errors.Is(err, io.EOF) {
			t.Errorf("%s: got %v %q %v, want a connection closed without an answer", rule, resp, body, err)
		}
	}
}

func withTimeout(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 20*time.Millisecond)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
