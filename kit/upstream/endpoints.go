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
	// lookupAge is how long a lookup is valid: short, so that an endpoint that is no longer ready soon
	// gets no calls, but long enough that most calls need no lookup.
	lookupAge = 100 * time.Millisecond
	// lookupPatience is how long the call that starts a new lookup waits before it uses the previous
	// addresses: several times what a name server in the cluster takes.
	lookupPatience = 20 * time.Millisecond
	// lookupTimeout is the longest time of a lookup.
	lookupTimeout = 5 * time.Second
)

// resolver finds all endpoints of an upstream: in the hosts file, then in DNS, which has all ready pods of
// a headless Service. Once it has found some, calls do not depend on further lookups: if one fails or
// takes too long, the previous addresses remain in use, and their breakers handle those that fail.
type resolver struct {
	host, port string
	hosts      *dialer
	dns        func(ctx context.Context, host string) ([]string, error)

	mu     sync.Mutex
	addrs  []string      // host:port, in a stable order; nil: none yet
	err    error         // of the last lookup
	at     time.Time     // end of the last lookup
	flight chan struct{} // closed when the current lookup ends; nil: there is none
}

func newResolver(base *url.URL, hosts *dialer) *resolver {
	port := base.Port()
	if port == "" {
		port = "80" // for https the scope is upstream, which needs no resolver
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

// refresh looks the name up for all calls, so it does not use the context of one.
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
	if found, err := rs.hosts.lookup(rs.host); err != nil || len(found) > 0 {
		return found, err
	}
	return rs.dns(ctx, rs.host)
}

// oneFamily returns the IPv4 addresses, or the IPv6 ones if there are no others, sorted and without
// duplicates. In a dual-stack cluster a pod has one of each and would have two breakers.
func oneFamily(addrs []string) []string {
	addrs = slices.Compact(slices.Sorted(slices.Values(addrs))) // a copy: the dialer has them too
	v4 := slices.DeleteFunc(slices.Clone(addrs), func(text string) bool {
		addr, err := netip.ParseAddr(text)
		return err == nil && !addr.Unmap().Is4()
	})
	if len(v4) == 0 {
		return addrs
	}
	return v4
}
