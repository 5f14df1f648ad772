package upstream

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// names is the behaviour of a name server: its delay and its answer.
type names struct {
	takes time.Duration
	addrs []string
	err   error
}

// server is a name server whose behaviour changes.
type server struct {
	mu      sync.Mutex
	queries int
	names
}

func (s *server) lookup(ctx context.Context, _ string) ([]string, error) {
	s.mu.Lock()
	s.queries++
	n := s.names
	s.mu.Unlock()
	select {
	case <-time.After(n.takes):
		return slices.Clone(n.addrs), n.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// becomes changes the behaviour, and returns the number of queries since its last call.
func (s *server) becomes(n names) (queries int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	queries, s.queries, s.names = s.queries, 0, n
	return queries
}

const never = time.Hour

// newNamed builds a library chain, with changes, that uses the name server n.
func newNamed(t *testing.T, n *server, values ...string) *bench {
	rs := newResolver(&url.URL{Scheme: "http", Host: "staff-service:8080"}, newDialer("", nil))
	rs.dns = n.lookup
	return (&bench{t: t, wire: newWire(ok), cfg: library(t, values...)}).build(rs.lookup, nil)
}

// Once endpoints are known, no call fails or waits long because of the name server.
func TestNameServerFailsLater(t *testing.T) {
	for how, fail := range map[string]names{
		"hangs":        {takes: never},
		"answers late": {takes: 2 * time.Second, err: errReset},
		"has errors":   {err: errReset},
	} {
		bubble(t, how, func(t *testing.T) {
			n := &server{names: names{addrs: []string{"10.0.0.2", "10.0.0.1"}}}
			b := newNamed(t, n)
			b.is(b.get(), "200 ok")
			n.becomes(fail)
			const calls, gap = 1000, 10 * time.Millisecond
			var waited time.Duration
			for range calls {
				begin := time.Now()
				b.is(b.get(), "200 ok")
				took := time.Since(begin)
				if waited += took; took > lookupPatience {
					t.Fatalf("a call waited %s for the name server", took)
				}
				time.Sleep(gap)
			}
			queries := n.becomes(names{addrs: []string{"10.0.0.3"}})
			if most := time.Duration(queries) * lookupPatience; waited > most || fail.takes > 0 && queries > 1+int(2*calls*gap/min(fail.takes, lookupTimeout)) {
				t.Errorf("waited %s in all, for %d queries", waited, queries)
			}
			time.Sleep(lookupTimeout + lookupAge)
			b.take()
			b.is(b.get(), "200 ok")
			b.is(b.addrs(), "10.0.0.3:8080")
		})
	}
}

// The call that starts a lookup waits for an early answer. A later answer is used by the next call.
func TestEndpointsAreLookedUpAgain(t *testing.T) {
	for takes, want := range map[time.Duration]string{
		0: "10.0.0.2:8080", lookupPatience - 1: "10.0.0.2:8080", lookupPatience + 1: "10.0.0.1:8080",
	} {
		bubble(t, takes.String(), func(t *testing.T) {
			n := &server{names: names{addrs: []string{"10.0.0.1"}}}
			b := newNamed(t, n)
			for range 100 {
				b.get()
				time.Sleep(lookupAge / 10)
			}
			if queries := n.becomes(names{addrs: []string{"10.0.0.2"}, takes: takes}); queries < 5 || queries > 11 {
				t.Errorf("%d queries within ten times lookupAge", queries)
			}
			time.Sleep(time.Hour)
			b.take()
			b.get()
			b.is(b.addrs(), want)
			time.Sleep(takes)
			b.get()
			b.is(b.addrs(), "10.0.0.2:8080")
		})
	}
}

// All first calls wait for one lookup. If it fails, they fail, and the next call starts another one.
func TestFirstLookup(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		n := &server{names: names{takes: 100 * time.Millisecond, err: errReset}}
		b := newNamed(t, n)
		answers := make(chan string)
		for range 3 {
			go func() { answers <- b.get() }()
		}
		want := fmt.Sprintf("look up staff-service:8080: %v", errReset)
		for range 3 {
			b.is(<-answers, want)
		}
		if queries := n.becomes(names{addrs: []string{"10.0.0.1"}}); queries == 0 || queries > b.cfg.Retry.Attempts {
			t.Errorf("%d queries", queries)
		}
		b.is(b.get(), "200 ok")
	})
	bubble(t, "caller gone", func(t *testing.T) {
		b := newNamed(t, &server{names: names{takes: never}})
		b.is(b.getAndLeave(time.Second), "look up staff-service:8080: "+context.Canceled.Error())
		if time.Since(epoch) != time.Second {
			t.Errorf("ended after %s", time.Since(epoch))
		}
		time.Sleep(lookupTimeout)
	})
}

func TestOneFamily(t *testing.T) {
	for _, tc := range []struct{ found, want []string }{
		{[]string{"10.0.0.2", "10.0.0.1", "10.0.0.2"}, []string{"10.0.0.1", "10.0.0.2"}},
		{[]string{"fd00::2", "10.0.0.1", "fd00::1"}, []string{"10.0.0.1"}},
		{[]string{"fd00::2", "fd00::1"}, []string{"fd00::1", "fd00::2"}},
		{[]string{"fe80::1%eth0"}, []string{"fe80::1%eth0"}},
		{nil, nil},
	} {
		found := slices.Clone(tc.found)
		if got := oneFamily(found); !slices.Equal(got, tc.want) || !slices.Equal(found, tc.found) {
			t.Errorf("%v: got %v, want %v, and its argument is now %v", tc.found, got, tc.want, found)
		}
	}
}
