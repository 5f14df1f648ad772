package check

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/scenario"
)

func routeTo(address string) Route {
	return Route{Host: "fleetman-webapp:80", Dial: func(ctx context.Context, _ int) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}}
}

func nothing(context.Context, time.Time) error { return nil }

func TestSendSaysWhatIsAskedFor(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	connections := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		connections[r.RemoteAddr] = true
		seen = append(seen, fmt.Sprintf("%s %s %s %s %s %s %s", r.Method, r.RequestURI, r.Host, r.Header.Get("X-My-Header"), r.Header.Get(Header), r.Header.Get("X-Myval"), body))
		w.Header().Set("X-Version", "1")
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "hello")
	}))
	defer server.Close()
	r := &scenario.Requests{
		Method: "POST", Path: "/driver/City%20Truck/30?a=b", Host: "x.localhost", Headers: map[string]string{"x-my-header": "canary"},
		Body: "text", EachHeader: &scenario.EachHeader{Name: "x-myval", Values: 2}, Count: 4, Seed: 7,
	}
	records, err := send(t.Context(), routeTo(server.Listener.Addr().String()), r, "check-1", nothing, nil)
	require.NoError(t, err)
	values := headerValues(r)
	for i, line := range seen {
		assert.Equal(t, "POST /driver/City%20Truck/30?a=b x.localhost canary check-1 "+values[i%2]+" text", line, fmt.Sprint("request ", i))
	}
	for i, record := range records {
		assert.Equal(t, []any{http.StatusTeapot, "hello", "1", values[i%2], ""}, []any{record.Status, string(record.Body), record.Header.Get("X-Version"), record.Key, record.Failure}, "record %d", i)
	}
	assert.Equal(t, 4, len(connections), "connections for 4 requests")
	other := headerValues(&scenario.Requests{EachHeader: r.EachHeader, Seed: 8})
	assert.NotEqual(t, values[0], other[0], "values of another seed")
	assert.Equal(t, values, headerValues(r), "values of the same seed")
	assert.NotEqual(t, values[0], values[1], "two values")
}

func TestSourcesTakeTurns(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	var dialled []int
	route := Route{Host: "x", Dial: func(ctx context.Context, source int) (net.Conn, error) {
		dialled = append(dialled, source)
		return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
	}}
	records, err := send(t.Context(), route, &scenario.Requests{Path: "/", EachSource: 2, Count: 4}, "x", nothing, nil)
	require.NoError(t, err)
	assert.Equal(t, []int{1, 2, 1, 2}, dialled, "dialled")
	assert.Equal(t, []string{"source 1", "source 2"}, []string{records[0].Key, records[3].Key}, "keys")
}

func TestDescribeRequests(t *testing.T) {
	got := describeRequests(&scenario.Requests{
		From: scenario.Origin{Ingress: true}, Path: "/", Bearer: "user.jwt", Headers: map[string]string{"Authorization": "Bearer a.b.c", "x-a": "b"}, EachVisitor: 20, Count: 40,
	})
	assert.Equal(t, "40× GET / from the ingress, token user.jwt, x-a: b, 20 visitors with cookies", got, "requests")
}

// A visitor's first response sets a cookie, which the later requests have, one after the other.
func TestVisitorsKeepCookies(t *testing.T) {
	var seen atomic.Int32
	inFlight := map[string]bool{}
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("visitor")
		if err != nil {
			cookie = &http.Cookie{Name: "visitor", Value: fmt.Sprint(seen.Add(1))}
			http.SetCookie(w, cookie)
		}
		mu.Lock()
		twice := inFlight[cookie.Value]
		inFlight[cookie.Value] = true
		mu.Unlock()
		fmt.Fprint(w, cookie.Value, twice)
		mu.Lock()
		inFlight[cookie.Value] = false
		mu.Unlock()
	}))
	defer server.Close()
	records, err := send(t.Context(), routeTo(server.Listener.Addr().String()), &scenario.Requests{Path: "/", EachVisitor: 3, Count: 30, Concurrency: 6}, "x", nothing, nil)
	require.NoError(t, err)
	bodies, set := map[string]string{}, 0
	for _, record := range records {
		body := string(record.Body)
		if first, known := bodies[record.Key]; known && first != body || !strings.HasSuffix(body, "false") {
			t.Errorf("%s: %q after %q", record.Key, body, first)
		}
		bodies[record.Key] = body
		if record.Header.Get("Set-Cookie") != "" {
			set++
		}
	}
	assert.Equal(t, []int{3, 3}, []int{len(bodies), set}, "visitors, and responses that set a cookie")
	assert.NotEqual(t, bodies["visitor 1"], bodies["visitor 2"], "cookies of two visitors")
}

func TestConcurrencyIsKeptAndNotExceeded(t *testing.T) {
	var now, most atomic.Int32
	full := make(chan struct{})
	var once sync.Once
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for {
			old := most.Load()
			if n <= old || most.CompareAndSwap(old, n) {
				break
			}
		}
		if n == 3 {
			once.Do(func() { close(full) })
		}
		<-full // closed when three requests are in flight
	}))
	defer server.Close()
	records, err := send(t.Context(), routeTo(server.Listener.Addr().String()), &scenario.Requests{Path: "/", Count: 30, Concurrency: 3}, "x", nothing, nil)
	require.NoError(t, err)
	assert.Equal(t, 30, count(records, func(r Record) bool { return r.Status == 200 }), "responses with 200")
	assert.EqualValues(t, 3, most.Load(), "requests at once")
}

// An open loop starts requests in time, although the first does not end.
func TestRateDoesNotWaitForAnswers(t *testing.T) {
	last := make(chan struct{})
	var arrived atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if arrived.Add(1) == 10 {
			close(last)
		}
		<-last
	}))
	defer server.Close()
	records, err := send(t.Context(), routeTo(server.Listener.Addr().String()), &scenario.Requests{Path: "/", Count: 10, Rate: 200}, "x", nothing, nil)
	require.NoError(t, err)
	for i, record := range records {
		assert.Equal(t, 200, record.Status, "request %d", i)
		assert.GreaterOrEqual(t, record.Start, time.Duration(i)*5*time.Millisecond, "start of request %d", i)
	}
}

func TestHowAnswersFailToCome(t *testing.T) {
	closer := func(linger bool) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				if linger {
					_, _ = conn.Read(make([]byte, 4096))
				} else {
					_ = conn.(*net.TCPConn).SetLinger(0)
				}
				conn.Close()
			}
		}()
		return listener.Addr().String()
	}
	truncating := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "ten bytes.")
	}))
	defer truncating.Close()
	release := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer hanging.Close()
	defer close(release)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone.Close()
	tests := []struct {
		name, address string
		reset         bool
		status        int
		failure       string
	}{
		{"reset", closer(false), true, 0, ""},
		{"closed", closer(true), true, 0, ""},
		{"refused", gone.Addr().String(), false, 0, "connection refused"},
		{"cut short", truncating.Listener.Addr().String(), false, 200, "read the body: unexpected EOF"},
		{"never", hanging.Listener.Addr().String(), false, 0, "deadline exceeded"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &scenario.Requests{Path: "/", Count: 1, Timeout: scenario.Duration{Duration: time.Minute}}
			if test.name == "never" {
				r.Timeout.Duration = 200 * time.Millisecond
			}
			records, err := send(t.Context(), routeTo(test.address), r, "x", nothing, nil)
			require.NoError(t, err)
			assert.Equal(t, []any{test.reset, test.status}, []any{records[0].Reset, records[0].Status}, "reset and status")
			assert.NotEmpty(t, records[0].Failure, "failure")
			assert.Contains(t, records[0].Failure, test.failure)
		})
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, r := range []*scenario.Requests{{Path: "/", Count: 1000, Rate: 1}, {Path: "/", Count: 1000}} {
		route := Route{Host: "x", Dial: func(ctx context.Context, _ int) (net.Conn, error) {
			cancel()
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		records, err := send(ctx, route, r, "x", nothing, nil)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Nil(t, records, "records")
	}
}
