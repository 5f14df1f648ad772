package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// names is a name server: how long it takes, and what it answers.
type names struct {
	takes time.Duration
	addrs []string
	err   error
}

// server is one that changes.
type server struct {
	mu    sync.Mutex
	asked int
	names
}

func (s *server) lookup(ctx context.Context, _ string) ([]string, error) {
	s.mu.Lock()
	s.asked++
	n := s.names
	s.mu.Unlock()
	select {
	case <-time.After(n.takes):
		return slices.Clone(n.addrs), n.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// becomes changes what it does, and answers how often it was asked since the last time.
func (s *server) becomes(n names) (asked int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked, s.asked, s.names = s.asked, 0, n
	return asked
}

const never = time.Hour

// newNamed builds a library chain, with changes, that asks n for its endpoints.
func newNamed(t *testing.T, n *server, values ...string) *bench {
	rs := newResolver(&url.URL{Scheme: "http", Host: "staff-service:8080"}, newDialer("", nil))
	rs.dns = n.lookup
	return (&bench{t: t, wire: newWire(nil), cfg: library(t, values...)}).build(rs.lookup, nil)
}

// Once the endpoints are known no call fails, or waits for long, because of the name server.
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
			asked := n.becomes(names{addrs: []string{"10.0.0.3"}})
			if most := time.Duration(asked) * lookupPatience; waited > most || fail.takes > 0 && asked > 1+int(2*calls*gap/min(fail.takes, lookupTimeout)) {
				t.Errorf("waited %s in all, the name server was asked %d times", waited, asked)
			}
			time.Sleep(lookupTimeout + lookupAge)
			b.take()
			b.is(b.get(), "200 ok")
			b.is(b.addrs(), "10.0.0.3:8080")
		})
	}
}

// The call that asks anew waits for an answer that comes soon; one that comes later serves the next.
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
			if asked := n.becomes(names{addrs: []string{"10.0.0.2"}, takes: takes}); asked < 5 || asked > 11 {
				t.Errorf("asked %d times within ten ages", asked)
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

// All first calls wait for one look-up; its failing is theirs, and the next call asks again.
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
		if asked := n.becomes(names{addrs: []string{"10.0.0.1"}}); asked == 0 || asked > b.cfg.Retry.Attempts {
			t.Errorf("asked %d times", asked)
		}
		b.is(b.get(), "200 ok")
	})
	bubble(t, "caller gone", func(t *testing.T) {
		b := newNamed(t, &server{names: names{takes: never}})
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, leave)
		if _, err := b.RoundTrip(b.request(ctx, "GET", "/driver/x", "")); !errors.Is(err, context.Canceled) || time.Since(epoch) != time.Second {
			t.Errorf("got %v after %s", err, time.Since(epoch))
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
		if got := oneFamily(slices.Clone(tc.found)); !slices.Equal(got, tc.want) {
			t.Errorf("%v: got %v, want %v", tc.found, got, tc.want)
		}
	}
}
