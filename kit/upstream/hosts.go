package upstream

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// dialer opens connections to names: those of a hosts file first, then DNS. A name with several
// addresses gives a random one to each new connection, as kube-proxy does.
type dialer struct {
	net.Dialer
	path string // a file in the form of hosts(5), with several addresses a name; empty: only DNS
	pick func(n int) int

	mu    sync.Mutex
	seen  fileState
	names map[string][]netip.Addr
}

// fileState tells one version of a file from another.
type fileState struct {
	modified time.Time
	size     int64
}

// connectTimeout bounds one connection attempt; the call's own time-out may end it sooner.
const connectTimeout = 10 * time.Second

func newDialer(path string) *dialer {
	return &dialer{Dialer: net.Dialer{Timeout: connectTimeout}, path: path, pick: rand.IntN}
}

func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if d.path != "" {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		addrs, err := d.lookup(host)
		if err != nil {
			return nil, err
		}
		if len(addrs) > 0 {
			address = net.JoinHostPort(addrs[d.pick(len(addrs))].String(), port)
		}
	}
	return d.Dialer.DialContext(ctx, network, address)
}

// lookup answers the addresses of a name, reading the file again when it has changed.
func (d *dialer) lookup(name string) ([]netip.Addr, error) {
	info, err := os.Stat(d.path)
	if err != nil {
		return nil, fmt.Errorf("HOSTS_FILE: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := (fileState{info.ModTime(), info.Size()}); now != d.seen || d.names == nil {
		text, err := os.ReadFile(d.path)
		if err != nil {
			return nil, fmt.Errorf("HOSTS_FILE: %w", err)
		}
		d.names, d.seen = parseHosts(text), now
	}
	return d.names[strings.ToLower(strings.TrimSuffix(name, "."))], nil
}

// parseHosts reads the form of hosts(5): an address, then its names; # begins a comment. A line
// without a good address says nothing, as in the C library.
func parseHosts(text []byte) map[string][]netip.Addr {
	names := make(map[string][]netip.Addr)
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		for _, name := range fields[1:] {
			name = strings.ToLower(strings.TrimSuffix(name, "."))
			names[name] = append(names[name], addr)
		}
	}
	return names
}
