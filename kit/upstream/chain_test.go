package upstream

import (
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

	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/observe"
	"fleetman.example/kit/server/servertest"
)

// wire is the last stage of a chain. It answers within the process and records the attempts.
type wire struct {
	answer answerer

	mu       sync.Mutex
	attempts []made
	open     int // bodies of answers that are not closed
}

type made struct {
	at                 time.Duration // since the wire was made
	addr, method, body string
	timeLeft           string
}

// answerer answers the nth attempt, counted from 1.
type answerer func(r *http.Request, n int) (*http.Response, error)

func newWire(answer answerer) *wire { return &wire{answer: answer} }

// epoch is the start time of a synctest bubble.
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

// watched is a body that informs the wire when it is closed.
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

// take returns the attempts since its last call.
func (w *wire) take() []made {
	w.mu.Lock()
	defer w.mu.Unlock()
	attempts := w.attempts
	w.attempts = nil
	return attempts
}

// addrs returns the addresses of the attempts since its last call.
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

// always answers every attempt in the same way.
func always(status int, body string, header ...string) answerer {
	return func(*http.Request, int) (*http.Response, error) { return answer(status, body, header...), nil }
}

var ok = always(200, "ok")

// inTurn answers by one after another, then always by the last one.
func inTurn(list ...answerer) answerer {
	return func(r *http.Request, n int) (*http.Response, error) { return list[min(n, len(list))-1](r, n) }
}

// statuses answers with one status after another, then always with the last one.
func statuses(list ...int) answerer {
	return func(_ *http.Request, n int) (*http.Response, error) {
		return answer(list[min(n, len(list))-1], "x"), nil
	}
}

// late answers "ok" after a delay, unless the caller leaves before.
func late(delay time.Duration) answerer {
	return func(r *http.Request, n int) (*http.Response, error) {
		select {
		case <-time.After(delay):
			return ok(r, n)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

// hang waits until the caller leaves.
func hang(r *http.Request, _ int) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

var errReset = errors.New("reset, as a test has it")

func reset(*http.Request, int) (*http.Response, error) { return nil, errReset }

// brokenOff answers incompletely, with the error of net/http.
func brokenOff(*http.Request, int) (*http.Response, error) { return incomplete(http.StatusOK), nil }

func incomplete(status int) *http.Response {
	resp := answer(status, "")
	resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("ok"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	resp.ContentLength = 10
	return resp
}

// crawls is a body that blocks until the caller leaves.
type crawls struct{ ctx context.Context }

func (c crawls) Read([]byte) (int, error) { <-c.ctx.Done(); return 0, c.ctx.Err() }
func (crawls) Close() error               { return nil }

func crawling(r *http.Request, _ int) (*http.Response, error) {
	resp := answer(http.StatusOK, "")
	resp.Body, resp.ContentLength = crawls{r.Context()}, -1
	return resp, nil
}

func newSet(t testing.TB, cfg Config) *Set {
	return NewSet(cfg, servertest.Observer(t), http.NewServeMux())
}

// library returns the configuration of RESILIENCE=library with changes, given as pairs of name and value.
func library(t testing.TB, values ...string) Config {
	t.Helper()
	set := map[string]string{"RESILIENCE": "library", "UPSTREAM_SEED": "1"}
	for i := 0; i+1 < len(values); i += 2 {
		set[values[i]] = values[i+1]
	}
	return servertest.Must(envtest.Read(set, ReadConfig))
}

// patient are timeouts for calls over a network, which take longer only on a machine that hangs.
var patient = []string{"UPSTREAM_TIMEOUT", "2m", "ATTEMPT_TIMEOUT", "1m"}

// only returns a configuration with a total timeout of 10 s and the stages that values switch on.
func only(t testing.TB, values ...string) Config {
	return library(t, append([]string{"RESILIENCE", "", "UPSTREAM_TIMEOUT", "10s"}, values...)...)
}

// bench is one chain under test.
type bench struct {
	t *testing.T
	http.RoundTripper
	*wire
	cfg  Config
	book []string // the addresses of the upstream's name
	o    *observe.Observer
	set  *Set
}

// newBench builds a chain whose wire answers with answer. Without a placeholder Config.Optional is set, so
// that calls are refused while all breakers are open.
func newBench(t *testing.T, cfg Config, answer answerer, placeholder Placeholder, addrs ...string) *bench {
	if len(addrs) == 0 {
		addrs = []string{"a:80"}
	}
	if placeholder == nil {
		cfg.Fallback, cfg.Optional = true, true
	}
	return buildBench(t, cfg, answer, placeholder, addrs...)
}

// buildBench is newBench with an unchanged cfg.
func buildBench(t *testing.T, cfg Config, answer answerer, placeholder Placeholder, addrs ...string) *bench {
	b := &bench{t: t, wire: newWire(answer), cfg: cfg, book: addrs}
	return b.build(b.lookup, placeholder)
}

// build builds b's chain.
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

// request returns a request to the upstream by its name.
func request(ctx context.Context, method, path, body string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, method, "http://staff-service:8080"+path, nil)
	r.Body = nil // as http.NewRequest has it
	if body != "" {
		SetBody(r, []byte(body))
	}
	return r
}

// get returns a GET of path; headers are names and values in turn.
func get(path string, headers ...string) *http.Request {
	r := request(context.Background(), http.MethodGet, path, "")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// call makes one call and returns "status body", or the error. It checks what holds for all calls.
func (b *bench) call(method, path, body string) string {
	b.t.Helper()
	return b.callAs(b.t.Context(), method, path, body)
}

func (b *bench) get() string { b.t.Helper(); return b.call("GET", "/driver/x", "") }

// getFor is get by a caller that waits for d.
func (b *bench) getFor(d time.Duration) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), d)
	defer cancel()
	return b.callAs(ctx, "GET", "/driver/x", "")
}

// getAndLeave is get by a caller that leaves after d.
func (b *bench) getAndLeave(d time.Duration) string {
	b.t.Helper()
	ctx, leave := context.WithCancel(b.t.Context())
	defer leave()
	time.AfterFunc(d, leave)
	return b.callAs(ctx, "GET", "/driver/x", "")
}

func (b *bench) callAs(ctx context.Context, method, path, body string) string {
	b.t.Helper()
	begin := time.Now()
	resp, err := b.RoundTrip(request(ctx, method, path, body))
	result := b.read(resp, err)
	if took := time.Since(begin); took > b.cfg.Timeout {
		b.t.Errorf("took %s, longer than the total timeout", took)
	}
	return result
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
	result := fmt.Sprintf("%d %s", resp.StatusCode, text)
	if degraded := resp.Header.Get(FallbackHeader); degraded != "" {
		result += " (" + degraded + ")"
	}
	return result
}

// is fails the test if got is not want.
func (b *bench) is(got, want string) {
	b.t.Helper()
	if got != want {
		b.t.Errorf("got %q, want %q", got, want)
	}
}

// tried fails the test if the number of attempts since the last call of take is not n, and returns them.
func (b *bench) tried(n int) []made {
	b.t.Helper()
	attempts := b.take()
	if len(attempts) != n {
		b.t.Fatalf("%d attempts, want %d", len(attempts), n)
	}
	return attempts
}

// isAtOnce fails the test if a call is not answered with want immediately and without an attempt.
func (b *bench) isAtOnce(want string) {
	b.t.Helper()
	begin := time.Now()
	b.is(b.get(), want)
	if made := b.take(); len(made) != 0 || time.Since(begin) != 0 {
		b.t.Errorf("%s after %d attempts and %s", want, len(made), time.Since(begin))
	}
}

// closed fails the test if a body is not closed.
func (b *bench) closed() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open != 0 {
		b.t.Errorf("%d bodies of answers are not closed", b.open)
	}
}

// counted returns the value of a counter of this chain on /metrics.
func (b *bench) counted(counter string) float64 { return b.shown(counter + "_total") }

// shown returns the sum of a metric's series on /metrics.
func (b *bench) shown(metric string) (n float64) {
	for line := range strings.Lines(servertest.Metrics(b.t, b.o)) {
		if strings.HasPrefix(line, strings.ReplaceAll(metric, ".", "_")+"{") {
			var v float64
			_, _ = fmt.Sscan(line[strings.LastIndex(line, " "):], &v)
			n += v
		}
	}
	return n
}

// bubble runs a test in a synctest bubble.
func bubble(t *testing.T, name string, test func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

// within returns the next inner stage, or nil.
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

// stages returns the names of a chain's stages, from the outside in.
func stages(chain any) (names []string) {
	for stage := chain; stage != nil; stage = within(stage) {
		names = append(names, strings.TrimPrefix(fmt.Sprintf("%T", stage), "*"))
	}
	return names
}

// RESILIENCE=off leaves the total timeout, trace and dial, also if stages have variables of their own. Each stage
// can be switched on alone.
func TestNesting(t *testing.T) {
	some := &fallback{}
	each := []string{"FALLBACK", "true", "RETRY_ATTEMPTS", "3", "BREAKER_FAILURES", "1", "BULKHEAD", "1", "ATTEMPT_TIMEOUT", "1s"}
	for name, tc := range map[string]struct {
		cfg      Config
		fallback *fallback
		want     string
	}{
		"off":                               {library(t, "RESILIENCE", "off"), some, "totalTimeout observe.measured"},
		"off, without blanks":               {library(t, append([]string{"RESILIENCE", " off "}, each...)...), some, "totalTimeout observe.measured"},
		"neither off nor library":           {library(t, append([]string{"RESILIENCE", ""}, each...)...), some, "fallback totalTimeout retry balancer bulkhead attemptTimeout whole observe.measured"},
		"library":                           {library(t), some, "fallback totalTimeout retry balancer bulkhead attemptTimeout whole observe.measured"},
		"library, nothing to fall to":       {library(t), nil, "totalTimeout retry balancer bulkhead attemptTimeout whole observe.measured"},
		"only fallback":                     {only(t, "FALLBACK", "true"), some, "fallback totalTimeout observe.measured"},
		"only retry":                        {only(t, "RETRY_ATTEMPTS", "2"), some, "totalTimeout retry attemptTimeout whole observe.measured"},
		"one try is no retry":               {only(t, "RETRY_ATTEMPTS", "1"), some, "totalTimeout observe.measured"},
		"only breaker":                      {only(t, "BREAKER_FAILURES", "1"), some, "totalTimeout balancer attemptTimeout whole observe.measured"},
		"only bulkhead":                     {only(t, "BULKHEAD", "1"), some, "totalTimeout bulkhead attemptTimeout whole observe.measured"},
		"only attempt timeout":              {only(t, "ATTEMPT_TIMEOUT", "1s"), some, "totalTimeout attemptTimeout whole observe.measured"},
		"library without breaker, bulkhead": {library(t, "BREAKER_FAILURES", "0", "BULKHEAD", "0"), some, "fallback totalTimeout retry attemptTimeout whole observe.measured"},
	} {
		t.Run(name, func(t *testing.T) {
			set := newSet(t, tc.cfg)
			chain := set.newChain(tc.cfg, newInstruments("x", set.o), newWire(ok), nil, tc.fallback)
			if got := strings.ReplaceAll(strings.Join(stages(chain), " "), "upstream.", ""); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// find returns the stage of a type in a chain, or its zero value.
func find[T any](chain any) (found T) {
	for stage := chain; stage != nil; stage = within(stage) {
		if s, ok := stage.(T); ok {
			return s
		}
	}
	return found
}

func (b *bench) budget() *budget { return find[*retry](b.RoundTripper).budget }

// budgetFull fills the retry budget.
func (b *bench) budgetFull() { b.budget().saved.Store(burst * 100) }

// agrees fails the test if the balancer's count of open endpoints is wrong.
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
