package check

import (
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

	"fleetman.example/lab/scenario"
)

// Header carries the name of a check through all hops.
const Header = "X-Fleetman-Check"

// defaultTimeout is the client's own.
const defaultTimeout = 30 * time.Second

// maxBody is how much of an answer is looked at.
const maxBody = 256 << 10

// Record is one request and what came back.
type Record struct {
	Start   time.Duration // from the first request's start
	Took    time.Duration // to the end of the body
	Key     string        // the value of EachHeader, or the source; empty without
	Status  int           // 0: no answer
	Header  http.Header
	Body    []byte
	Reset   bool   // closed without an answer
	Failure string // why there is no whole answer
}

// send sends what is asked for. during gets the time of the first request and
// is waited for.
func send(ctx context.Context, route Route, r *scenario.Requests, check string, during func(ctx context.Context, began time.Time) error) ([]Record, error) {
	records := make([]Record, r.Count)
	values := headerValues(r)
	began := time.Now()
	var acting sync.WaitGroup
	var failed error
	acting.Go(func() { failed = during(ctx, began) })
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
		start := time.Now()
		records[i] = ask(ctx, route, r, check, source, key)
		records[i].Start, records[i].Took, records[i].Key = start.Sub(began), time.Since(start), key
	}
	if r.Rate > 0 {
		openLoop(ctx, r, began, one)
	} else {
		closedLoop(ctx, r, one)
	}
	acting.Wait()
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	return records, failed
}

// openLoop starts requests at even intervals, however long they take.
func openLoop(ctx context.Context, r *scenario.Requests, began time.Time, one func(int)) {
	var sending sync.WaitGroup
	for i := range r.Count {
		due := time.Duration(float64(i) / r.Rate * float64(time.Second))
		select {
		case <-time.After(time.Until(began.Add(due))):
		case <-ctx.Done():
			sending.Wait()
			return
		}
		sending.Go(func() { one(i) })
	}
	sending.Wait()
}

// closedLoop has Concurrency requests under way until all are done.
func closedLoop(ctx context.Context, r *scenario.Requests, one func(int)) {
	next := make(chan int)
	var sending sync.WaitGroup
	for range max(1, r.Concurrency) {
		sending.Go(func() {
			for i := range next {
				one(i)
			}
		})
	}
	for i := range r.Count {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	sending.Wait()
}

// headerValues are the values of EachHeader, the same for the same seed.
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

// ask sends one request on a connection of its own: users share none, and on a
// connection that is used again Go's client may send a request twice.
func ask(ctx context.Context, route Route, r *scenario.Requests, check string, source int, key string) (record Record) {
	timeout := r.Timeout.Duration
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+route.Host+r.Path, strings.NewReader(r.Body))
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
	transport := &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return route.Dial(ctx, source) },
		DisableKeepAlives:  true,
		DisableCompression: true,
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return Record{Failure: err.Error(), Reset: isReset(err)}
	}
	defer response.Body.Close()
	record = Record{Status: response.StatusCode, Header: response.Header}
	if record.Body, err = io.ReadAll(io.LimitReader(response.Body, maxBody)); err != nil {
		record.Failure = "reading the answer: " + err.Error()
	}
	return record
}

// isReset tells a connection that was closed without an answer from one that
// was refused, and from a time-out.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
