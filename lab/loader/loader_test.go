package loader

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/load"
	"fleetman.example/lab/wants"
)

// TestTurns: each stream has its share, and each of its requests the next vehicle.
func TestTurns(t *testing.T) {
	s := NewSender(nil, Plan{Load: experiment.Load{Streams: []experiment.Stream{
		{Name: "a", Path: "/a/{vehicle}", Share: 3}, {Name: "b", Path: "/b", Share: 1}, {Name: "c", Path: "/c?of={vehicle}", Share: 2},
	}}, Names: []string{"City Truck", "Huddersfield Truck"}})
	var paths []string
	for n := range 12 {
		_, _, path := s.request(n)
		paths = append(paths, strings.NewReplacer("City%20Truck", "1", "Huddersfield%20Truck", "2").Replace(path))
	}
	want := []string{"/a/1", "/c?of=1", "/a/2", "/b", "/c?of=2", "/a/1", "/a/2", "/c?of=1", "/a/1", "/b", "/c?of=2", "/a/2"}
	assert.Equal(t, want, paths)
}

// plan is a load of 20 requests at a server.
func plan(server *httptest.Server) Plan {
	return Plan{
		Load: experiment.Load{Streams: []experiment.Stream{{Name: "a", Method: "GET", Path: "/a/{vehicle}", Share: 1}}, Timeout: experiment.Duration(time.Minute), MaxInFlight: 10},
		Host: "gateway.test:80", Address: server.Listener.Addr().String(), Rates: load.Rates{{From: 100, To: 100}}, Lasts: 200 * time.Millisecond,
		Names: []string{"City Truck"}, Check: "load-x-", Parts: 1,
	}
}

// TestParts: parts that are sent by several loaders are together the whole load.
func TestParts(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.Host+r.URL.Path+" "+r.Header.Get(checkHeader)]++
		switch r.Header.Get(checkHeader) {
		case "load-x-3":
			w.WriteHeader(201)
		case "load-x-7":
			w.Header().Set("X-Error-Origin", "timeout")
			w.WriteHeader(504)
			fmt.Fprint(w, `{"message":"too late"}`)
		}
	}))
	defer target.Close()
	p := plan(target)
	var clients []*Client
	for range 3 {
		clients = append(clients, serve(t))
	}
	at := time.Now().Add(50 * time.Millisecond)
	var parts [][]Request
	for i, part := range p.Split(3) {
		require.NoError(t, errors.Join(clients[i].ReadClock(t.Context()), clients[i].Begin(t.Context(), part, at)))
	}
	assert.ErrorContains(t, clients[0].Begin(t.Context(), p, at), "load: must be begun once", "a second load")
	for _, c := range clients {
		requests, err := c.Await(t.Context())
		require.NoError(t, err)
		parts = append(parts, requests)
	}
	all, err := p.Join(parts...)
	require.NoError(t, err)
	require.Len(t, all, 20, "requests")
	for n, r := range all {
		assert.Equal(t, []any{n, p.Rates.Due(n)}, []any{r.N, r.Intended}, "number and intended start")
		assert.True(t, r.Intended <= r.Start && r.Start <= r.End, "%+v: times must be in their order", r)
		assert.Equal(t, 1, seen[fmt.Sprintf("gateway.test:80/a/City Truck load-x-%d", n)], "times that request %d was received", n)
		want := Outcome{Route: "a", Vehicle: "City Truck", Status: 200}
		switch n {
		case 3:
			want.Status = 201
		case 7:
			want.Status, want.Failure, want.Origin = 504, "too late", "timeout"
		}
		assert.Equal(t, want, r.Outcome, "request %d", n)
	}
	for text, wrong := range map[string][][]Request{
		"load: 14 requests: must be 20":       parts[:2],
		"load: request 1: must be there once": {parts[0], parts[1], parts[1][:6]},
	} {
		_, err := p.Join(wrong...)
		assert.EqualError(t, err, text)
	}
}

// serve starts a loader, and returns its client.
func serve(t *testing.T) *Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		assert.NoError(t, <-ended)
	})
	return clientAt(listener.Addr())
}

func clientAt(address net.Addr) *Client {
	return NewClient("p", func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address.String())
	})
}

// TestAwait: requests whose transfer breaks are read again, and an end is one line.
func TestAwait(t *testing.T) {
	var body bytes.Buffer
	out := gzip.NewWriter(&body)
	fmt.Fprint(out, `{"N":0,"Outcome":{"route":"a","status":200}}`)
	out.Close()
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch calls++; calls {
		case 1:
			w.WriteHeader(http.StatusNoContent)
		case 2:
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(body.Bytes()[:body.Len()-6])
		default:
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(body.Bytes())
		}
	}))
	c := clientAt(server.Listener.Addr())
	requests, err := c.Await(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []Request{{Outcome: Outcome{Route: "a", Status: 200}}}, requests)
	assert.Equal(t, 3, calls, "calls")
	server.Close()
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errors.New("no requests within 1ms"))
	defer cancel()
	_, err = c.Await(ctx)
	wants.Error(t, "an end", err, "load: pod p: …")
}

// TestBadOrders: what is no order of this version is refused.
func TestBadOrders(t *testing.T) {
	s := &server{ctx: t.Context()}
	for _, test := range []struct {
		method, body string
		status       int
		want         string
	}{
		{"GET", "", 404, "load: must be begun first"},
		{"POST", "{", 400, "unexpected EOF"},
		{"POST", `{"plan":{"speed":1}}`, 400, `unknown field "speed"`},
		{"POST", `{"plan":{"parts":0}}`, 400, "plan: must have rates"},
	} {
		w := httptest.NewRecorder()
		s.routes().ServeHTTP(w, httptest.NewRequest(test.method, "/load", strings.NewReader(test.body)))
		assert.Equal(t, test.status, w.Code, "%s %s", test.method, test.body)
		assert.Contains(t, w.Body.String(), test.want, "%s %s", test.method, test.body)
	}
}
