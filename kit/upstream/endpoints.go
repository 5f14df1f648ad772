package upstream

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"
)

const (
	// How long a look-up is valid: short, so that an endpoint that is no longer ready soon has no calls
	// any more, but not so short that each call looks up.
	lookupAge = 100 * time.Millisecond
	// How long the call that looks up again waits before it uses the last addresses: several times
	// what a name server nearby takes.
	lookupPatience = 20 * time.Millisecond
	// How long one look-up may take.
	lookupTimeout = 5 * time.Second
)

// resolver finds all endpoints of an upstream: in the hosts file first, then by DNS, which has all
// ready pods of a headless Service. Once it has found some, no call depends on the next look-up: when
// a name is not found any more, or not in time, the last addresses stay; what answers is for the
// breakers to find out.
type resolver struct {
	host, port string
	hosts      *dialer
	dns        func(ctx context.Context, host string) ([]string, error)

	mu     sync.Mutex
	addrs  []string      // host:port, in a stable order; nil: none yet
	err    error         // of the last look-up
	at     time.Time     // when it ended
	flight chan struct{} // closed when the look-up under way ends; nil: there is none
}

func newResolver(base *url.URL, hosts *dialer) *resolver {
	port := base.Port()
	if port == "" {
		port = "80" // New has no endpoints of https
	}
	return &resolver{host: base.Hostname(), port: port, hosts: hosts, dns: net.DefaultResolver.LookupHost}
}

// lookup returns host:port of each endpoint.
func (rs *resolver) lookup(ctx context.Context) ([]string, error) {
	rs.mu.Lock()
	addrs, flight := rs.addrs, rs.flight
	if addrs != nil && (flight != nil || time.Since(rs.at) < lookupAge) {
		rs.mu.Unlock()
		return addrs, nil
	}
	if flight == nil {
		flight = make(chan struct{})
		rs.flight = flight
		go rs.refresh(flight)
	}
	rs.mu.Unlock()
	if addrs != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lookupPatience)
		defer cancel()
	}
	select {
	case <-flight:
	case <-ctx.Done():
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.addrs != nil {
		return rs.addrs, nil
	}
	if rs.flight == flight {
		return nil, context.Cause(ctx)
	}
	return nil, rs.err
}

// refresh looks the name up, for all calls: it ends with none of them.
func (rs *resolver) refresh(flight chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	found, err := rs.find(ctx)
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if err == nil {
		rs.addrs = make([]string, 0, len(found))
		for _, addr := range oneFamily(found) {
			rs.addrs = append(rs.addrs, net.JoinHostPort(addr, rs.port))
		}
	}
	rs.err, rs.at, rs.flight = err, time.Now(), nil
	close(flight)
}

func (rs *resolver) find(ctx context.Context) ([]string, error) {
	if net.ParseIP(rs.host) != nil {
		return []string{rs.host}, nil
	}
	if rs.hosts.path != "" {
		found, err := rs.hosts.lookup(rs.host)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			addrs := make([]string, len(found))
			for i, a := range found {
				addrs[i] = a.String()
			}
			return addrs, nil
		}
	}
	return rs.dns(ctx, rs.host)
}

// oneFamily returns the IPv4 addresses, the IPv6 ones where there are no others: a pod of a cluster
// with both has one of each, and would have two breakers. They are in order, each once.
func oneFamily(addrs []string) []string {
	slices.Sort(addrs)
	addrs = slices.Compact(addrs)
	v4 := slices.DeleteFunc(slices.Clone(addrs), func(text string) bool {
		addr, err := netip.ParseAddr(text)
		return err == nil && !addr.Unmap().Is4()
	})
	if len(v4) == 0 {
		return addrs
	}
	return v4
}
