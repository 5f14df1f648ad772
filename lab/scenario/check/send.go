package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"fleetman.example/lab/load"
	"fleetman.example/lab/scenario"
)

// Header is the request header with the name of the check. Every hop propagates it.
const Header = "X-Fleetman-Check"

// defaultTimeout is the default of a request's time-out.
const defaultTimeout = 30 * time.Second

// maxBody is how much of a response's body is read, in bytes.
const maxBody = 256 << 10

// Record is a request and its response.
type Record struct {
	Start   time.Duration // since the first request's start
	Took    time.Duration // to the end of the body
	Key     string        // the value of EachHeader, the source or the visitor; empty without these
	Status  int           // 0: no response
	Header  http.Header
	Body    []byte
	Reset   bool   // the connection was closed without a response
	Failure string // why there is no complete response
}

// send sends a check's requests. It calls during, with the time of the first request, in a goroutine and
// waits for it, too. When decided returns true for the first records, it sends no more; nil means that it
// sends all.
func send(ctx context.Context, route Route, r *scenario.Requests, check string, during func(ctx context.Context, began time.Time) error, decided func([]Record) bool) ([]Record, error) {
	sending, stop := context.WithCancel(ctx)
	defer stop()
	got := responses{records: make([]Record, r.Count), done: make([]bool, r.Count), decided: decided, stop: stop}
	values, visitors := headerValues(r), newVisitors(r.EachVisitor)
	began := time.Now()
	var acting sync.WaitGroup
	var failed error
	acting.Go(func() { failed = during(sending, began) })
	one := func(i int) {
		source := 0
		key := ""
		if r.EachSource > 0 {
			source = i%r.EachSource + 1
			key = fmt.Sprintf("source %d", source)
		}
		if values != nil {
			key = values[i%len(values)]
		}
		var by *visitor // nil: somebody without cookies
		if len(visitors) > 0 {
			by = visitors[i%len(visitors)]
			key = fmt.Sprintf("visitor %d", i%len(visitors)+1)
			by.Lock()
			defer by.Unlock()
		}
		start := time.Now()
		record := do(ctx, route, r, by, check, source, key)
		record.Start, record.Took, record.Key = start.Sub(began), time.Since(start), key
		got.add(i, record)
	}
	pace, inFlight := load.Pace(r.Rate), r.Count
	if r.Rate == 0 { // all are due at once, within a microsecond for a thousand, and wait for their turn
		pace, inFlight = load.Pace(time.Second), max(1, r.Concurrency)
	}
	plan := load.Plan{Schedule: pace, Duration: pace.Due(r.Count), MaxInFlight: inFlight}
	sent := len(load.Run(sending, plan, func(_ context.Context, i int) struct{} { one(i); return struct{}{} }))
	acting.Wait()
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	return got.records[:sent], failed
}

// responses collects the records of requests, which end in any order.
type responses struct {
	mu      sync.Mutex
	records []Record
	done    []bool
	first   int // all before it are done
	decided func([]Record) bool
	stop    func()
}

// add keeps a record. A fiftieth of the requests at a time, it asks whether those so far decide.
func (s *responses) add(i int, record Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[i], s.done[i] = record, true
	each := max(1, len(s.records)/50)
	for s.first < len(s.done) && s.done[s.first] {
		s.first++
		if s.decided != nil && s.first%each == 0 && s.decided(s.records[:s.first]) {
			s.stop()
			s.decided = nil
		}
	}
}

// headerValues returns the values of EachHeader. They only depend on the seed.
func headerValues(r *scenario.Requests) []string {
	if r.EachHeader == nil {
		return nil
	}
	random := rand.New(rand.NewPCG(r.Seed, 0))
	values := make([]string, r.EachHeader.Values)
	for i := range values {
		values[i] = fmt.Sprintf("%d-%08x", i, random.Uint32())
	}
	return values
}

// do sends one request on a new connection: users do not share connections, and on a reused connection Go's
// client may send a request twice.
func do(ctx context.Context, route Route, r *scenario.Requests, by *visitor, check string, source int, key string) (record Record) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(r.Timeout.Duration, defaultTimeout))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, r.Method, "http://"+route.Host+r.Path, strings.NewReader(r.Body))
	if err != nil {
		return Record{Failure: err.Error()}
	}
	for name, value := range r.Headers {
		request.Header.Set(name, value)
	}
	if r.EachHeader != nil {
		request.Header.Set(r.EachHeader.Name, key)
	}
	if r.Host != "" {
		request.Host = r.Host
	}
	request.Header.Set(Header, check)
	client := http.Client{
		Transport: &http.Transport{
			DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return route.Dial(ctx, source) },
			DisableKeepAlives:  true,
			DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if by != nil {
		client.Jar = by.jar
	}
	response, err := client.Do(request)
	if err != nil {
		return Record{Failure: errors.Unwrap(err).Error(), Reset: isReset(err)} // without the method and the URL
	}
	defer response.Body.Close()
	record = Record{Status: response.StatusCode, Header: response.Header}
	if record.Body, err = io.ReadAll(io.LimitReader(response.Body, maxBody)); err != nil {
		record.Failure = "read the body: " + err.Error()
	}
	return record
}

// isReset reports whether the error means that the connection was closed without a response, rather than
// refused or timed out.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
