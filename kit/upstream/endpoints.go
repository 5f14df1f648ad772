package upstream

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// How long a looked-up name stays: short, so that an endpoint that is no longer ready is soon
// left alone, but not so short that each call asks.
const lookupAge = 100 * time.Millisecond

// resolver answers all addresses of an upstream: those of the hosts file first, then DNS, which
// answers all ready pods for a headless Service.
type resolver struct {
	hosts *dialer
	dns   func(ctx context.Context, host string) ([]string, error)

	mu   sync.Mutex
	seen map[string]resolved
}

type resolved struct {
	addrs []string
	at    time.Time
}

func newResolver(hosts *dialer) *resolver {
	return &resolver{hosts: hosts, dns: net.DefaultResolver.LookupHost, seen: make(map[string]resolved)}
}

// lookup answers host:port for each address of what r calls, in a stable order. When a name that
// was known is not found any more, its last addresses stay: the breakers know better who answers.
func (rs *resolver) lookup(r *http.Request) ([]string, error) {
	now, hostport := clock(), r.URL.Host
	rs.mu.Lock()
	last, ok := rs.seen[hostport]
	rs.mu.Unlock()
	if ok && now.Sub(last.at) < lookupAge {
		return last.addrs, nil
	}
	addrs, err := rs.ask(r.Context(), r.URL.Hostname())
	if err != nil && !ok {
		return nil, err
	}
	if err == nil {
		port := r.URL.Port()
		if port == "" {
			port = "80" // New has no endpoints of https
		}
		last.addrs = make([]string, len(addrs))
		for i, addr := range addrs {
			last.addrs[i] = net.JoinHostPort(addr, port)
		}
	}
	last.at = now
	rs.mu.Lock()
	rs.seen[hostport] = last
	rs.mu.Unlock()
	return last.addrs, nil
}

func (rs *resolver) ask(ctx context.Context, host string) ([]string, error) {
	if net.ParseIP(host) != nil {
		return []string{host}, nil
	}
	if rs.hosts.path != "" {
		found, err := rs.hosts.lookup(host)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			addrs := make([]string, len(found))
			for i, a := range found {
				addrs[i] = a.String()
			}
			slices.Sort(addrs)
			return addrs, nil
		}
	}
	if deadline, ok := ctx.Deadline(); ok { // a call's own may have no timer
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	addrs, err := rs.dns(ctx, host)
	slices.Sort(addrs)
	return slices.Compact(addrs), err
}
