package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"fleetman.example/kit/env"
	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/observe"
)

// wire is what a chain ends in: it answers in the process, and notes what it was sent.
type wire struct {
	answer func(r *http.Request, n int) (*http.Response, error) // n counts from 1

	mu       sync.Mutex
	attempts []made
	open     int // bodies of answers that are not closed
}

type made struct {
	at                 time.Duration // since the wire was made
	addr, method, body string
	timeLeft           string
}

// newWire answers by answer; nil: 200 and "ok".
func newWire(answer func(r *http.Request, n int) (*http.Response, error)) *wire {
	if answer == nil {
		answer = func(*http.Request, int) (*http.Response, error) { return answered200("ok"), nil }
	}
	return &wire{answer: answer}
}

// epoch is when each bubble of synctest begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body.Close()
	}
	w.mu.Lock()
	w.attempts = append(w.attempts, made{time.Since(epoch), r.URL.Host, r.Method, string(body), r.Header.Get(timeLeft)})
	n := len(w.attempts)
	w.mu.Unlock()
	resp, err := w.answer(r, n)
	if resp != nil {
		w.mu.Lock()
		w.open++
		w.mu.Unlock()
		resp.Request = r
		resp.Body = &watched{ReadCloser: resp.Body, w: w}
	}
	return resp, err
}

// watched is a body that the wire sees closed.
type watched struct {
	io.ReadCloser
	w    *wire
	once sync.Once
}

func (b *watched) Close() error {
	b.once.Do(func() {
		b.w.mu.Lock()
		b.w.open--
		b.w.mu.Unlock()
	})
	return b.ReadCloser.Close()
}

// take answers the attempts since the last time.
func (w *wire) take() []made {
	w.mu.Lock()
	defer w.mu.Unlock()
	attempts := w.attempts
	w.attempts = nil
	return attempts
}

// addrs is where the attempts since the last time went.
func (w *wire) addrs() string {
	var addrs []string
	for _, a := range w.take() {
		addrs = append(addrs, a.addr)
	}
	return strings.Join(addrs, " ")
}

func answer(status int, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), StatusCode: status, Header: h,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

func answered200(body string) *http.Response { return answer(http.StatusOK, body) }

// hang answers nothing until the caller leaves.
func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

var errReset = errors.New("reset, as a test has it")

// brokenOff is an answer that ends too soon, as net/http tells it.
func brokenOff() *http.Response {
	resp := answer(http.StatusOK, "")
	resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("ok"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	resp.ContentLength = 10
	return resp
}

// crawls is a body that comes when the caller has left.
type crawls struct{ ctx context.Context }

func (c crawls) Read([]byte) (int, error) { <-c.ctx.Done(); return 0, c.ctx.Err() }
func (crawls) Close() error               { return nil }

func crawling(r *http.Request) *http.Response {
	resp := answer(http.StatusOK, "")
	resp.Body, resp.ContentLength = crawls{r.Context()}, -1
	return resp
}

func testObserver(t testing.TB) *observe.Observer {
	t.Helper()
	o, err := observe.Start(context.Background(), "test", envtest.Map(nil), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func newSet(t testing.TB, cfg Config) *Set { return NewSet(cfg, testObserver(t), http.NewServeMux()) }

// library is the configuration of RESILIENCE=library with changes; values are pairs.
func library(t testing.TB, values ...string) Config {
	t.Helper()
	set := map[string]string{"RESILIENCE": "library", "UPSTREAM_SEED": "1"}
	for i := 0; i+1 < len(values); i += 2 {
		set[values[i]] = values[i+1]
	}
	r := env.New(envtest.Map(set))
	cfg := ReadConfig(r)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// only is a configuration with a total time-out of 10 s and the stages that values switch on.
func only(t testing.TB, values ...string) Config {
	return library(t, append([]string{"RESILIENCE", "", "UPSTREAM_TIMEOUT", "10s"}, values...)...)
}

// bench is one chain under test.
type bench struct {
	t *testing.T
	http.RoundTripper
	*wire
	cfg  Config
	book []string // what the upstream's name resolves to
	o    *observe.Observer
	set  *Set
}

// newBench builds a chain that ends in w. Without a placeholder its caller goes on without an answer,
// so that an open breaker refuses its calls.
func newBench(t *testing.T, cfg Config, w *wire, placeholder Placeholder, addrs ...string) *bench {
	if len(addrs) == 0 {
		addrs = []string{"a:80"}
	}
	if placeholder == nil {
		cfg.Fallback, cfg.Optional = true, true
	}
	return buildBench(t, cfg, w, placeholder, addrs...)
}

// buildBench is newBench with cfg as it is.
func buildBench(t *testing.T, cfg Config, w *wire, placeholder Placeholder, addrs ...string) *bench {
	b := &bench{t: t, wire: w, cfg: cfg, book: addrs}
	return b.build(b.lookup, placeholder)
}

// build gives b its chain.
func (b *bench) build(lookup lookupFunc, placeholder Placeholder) *bench {
	b.set = newSet(b.t, b.cfg)
	b.o = b.set.o
	m := newInstruments("staff-service", b.o)
	var fb *fallback
	if placeholder != nil {
		fb = newFallback(b.cfg, placeholder, m)
	}
	b.RoundTripper = b.set.newChain(b.cfg, m, b.wire, lookup, fb)
	return b
}

func (b *bench) lookup(context.Context) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.book, nil
}

func (b *bench) resolvesTo(addrs ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.book = addrs
}

func (b *bench) RoundTrip(r *http.Request) (*http.Response, error) {
	return b.RoundTripper.RoundTrip(r)
}

// request is a call to the upstream by its name.
func (b *bench) request(ctx context.Context, method, path, body string) *http.Request {
	var from io.Reader
	if body != "" {
		from = bytes.NewReader([]byte(body))
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://staff-service:8080"+path, from)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// call makes one call and answers "status body", or the error; it checks what holds for each.
func (b *bench) call(method, path, body string) string {
	b.t.Helper()
	return b.callAs(b.t.Context(), method, path, body)
}

func (b *bench) get() string { b.t.Helper(); return b.call("GET", "/driver/x", "") }

func (b *bench) callAs(ctx context.Context, method, path, body string) string {
	b.t.Helper()
	begin := time.Now()
	resp, err := b.RoundTrip(b.request(ctx, method, path, body))
	said := b.read(resp, err)
	if took := time.Since(begin); took > b.cfg.Timeout {
		b.t.Errorf("took %s, longer than the total time-out", took)
	}
	return said
}

func (b *bench) read(resp *http.Response, err error) string {
	b.t.Helper()
	switch {
	case (resp == nil) == (err == nil):
		b.t.Fatalf("got a response and an error, or neither: %v, %v", resp, err)
	case err != nil:
		return err.Error()
	}
	text, err := io.ReadAll(resp.Body)
	if closed := resp.Body.Close(); err != nil || closed != nil {
		return fmt.Sprintf("%d, reading: %v, closing: %v", resp.StatusCode, err, closed)
	}
	if resp.ContentLength >= 0 && int64(len(text)) != resp.ContentLength && resp.StatusCode < 500 {
		b.t.Errorf("read %d bytes of %d", len(text), resp.ContentLength)
	}
	said := fmt.Sprintf("%d %s", resp.StatusCode, text)
	if degraded := resp.Header.Get(FallbackHeader); degraded != "" {
		said += " (" + degraded + ")"
	}
	return said
}

// is fails the test when got is not want.
func (b *bench) is(got, want string) {
	b.t.Helper()
	if got != want {
		b.t.Errorf("got %q, want %q", got, want)
	}
}

// none fails the test when an answer's body is still open.
func (b *bench) closed() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open != 0 {
		b.t.Errorf("%d bodies of answers are not closed", b.open)
	}
}

// counted is a counter of this chain, on /metrics.
func (b *bench) counted(counter string) float64 { return b.shown(counter + "_total") }

// shown is the sum of a metric's series, on /metrics.
func (b *bench) shown(metric string) (n float64) {
	w := httptest.NewRecorder()
	b.o.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, strings.ReplaceAll(metric, ".", "_")+"{") {
			var v float64
			_, _ = fmt.Sscan(line[strings.LastIndex(line, " "):], &v)
			n += v
		}
	}
	return n
}

// bubble is a test whose time is the bubble's own.
func bubble(t *testing.T, name string, test func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

// within is the stage within another; nil where there is none.
func within(stage any) any {
	switch s := stage.(type) {
	case *fallback:
		return s.next
	case totalTimeout:
		return s.next
	case *retry:
		return s.attempts.Transport
	case *balancer:
		return s.next
	case *bulkhead:
		return s.next
	case attemptTimeout:
		return s.next
	case whole:
		return s.next
	}
	return nil
}

// stages names what a chain is made of, from the outside in.
func stages(chain any) (names []string) {
	for stage := chain; stage != nil; stage = within(stage) {
		names = append(names, strings.TrimPrefix(fmt.Sprintf("%T", stage), "*"))
	}
	return names
}

// Off is exactly the total time-out, trace and dial; each stage can be set alone.
func TestNesting(t *testing.T) {
	some := &fallback{}
	for name, tc := range map[string]struct {
		cfg      Config
		fallback *fallback
		want     string
	}{
		"off":                               {library(t, "RESILIENCE", "off"), some, "totalTimeout observe.measured"},
		"off wins":                          {library(t, "RESILIENCE", "off", "FALLBACK", "true", "RETRY_ATTEMPTS", "3", "BREAKER_FAILURES", "1", "BULKHEAD", "1", "ATTEMPT_TIMEOUT", "1s"), some, "totalTimeout observe.measured"},
		"library":                           {library(t), some, "fallback totalTimeout retry balancer bulkhead attemptTimeout whole observe.measured"},
		"library, nothing to fall to":       {library(t), nil, "totalTimeout retry balancer bulkhead attemptTimeout whole observe.measured"},
		"only fallback":                     {only(t, "FALLBACK", "true"), some, "fallback totalTimeout observe.measured"},
		"only retry":                        {only(t, "RETRY_ATTEMPTS", "2"), some, "totalTimeout retry attemptTimeout whole observe.measured"},
		"one try is no retry":               {only(t, "RETRY_ATTEMPTS", "1"), some, "totalTimeout observe.measured"},
		"only breaker":                      {only(t, "BREAKER_FAILURES", "1"), some, "totalTimeout balancer attemptTimeout whole observe.measured"},
		"only bulkhead":                     {only(t, "BULKHEAD", "1"), some, "totalTimeout bulkhead attemptTimeout whole observe.measured"},
		"only attempt time-out":             {only(t, "ATTEMPT_TIMEOUT", "1s"), some, "totalTimeout attemptTimeout whole observe.measured"},
		"library without breaker, bulkhead": {library(t, "BREAKER_FAILURES", "0", "BULKHEAD", "0"), some, "fallback totalTimeout retry attemptTimeout whole observe.measured"},
	} {
		t.Run(name, func(t *testing.T) {
			set := newSet(t, tc.cfg)
			chain := set.newChain(tc.cfg, newInstruments("x", set.o), newWire(nil), nil, tc.fallback)
			if got := strings.ReplaceAll(strings.Join(stages(chain), " "), "upstream.", ""); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
	measured := testObserver(t).Transport("x", newWire(nil))
	if got := fmt.Sprintf("%T", measured); got != "observe.measured" {
		t.Errorf("the trace stage is %s", got)
	}
}

// find is the stage of a type in a chain; its zero value where there is none.
func find[T any](chain any) (found T) {
	for stage := chain; stage != nil; stage = within(stage) {
		if s, ok := stage.(T); ok {
			return s
		}
	}
	return found
}

func (b *bench) budget() *budget { return find[*retry](b.RoundTripper).budget }

// budgetFull gives the chain all the retries that may be saved up.
func (b *bench) budgetFull() { b.budget().saved.Store(burst * 100) }

// agrees fails the test when the count of open endpoints is not that of the open endpoints.
func (b *bench) agrees() {
	b.t.Helper()
	br := find[*balancer](b.RoundTripper)
	open := 0
	for _, e := range br.json() {
		if e.State != "closed" {
			open++
		}
	}
	br.mu.Lock()
	defer br.mu.Unlock()
	if open != br.open {
		b.t.Errorf("%d endpoints are open, %d are counted", open, br.open)
	}
}
