package upstream

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// dialer opens connections to names, which it looks up in a hosts file, then in DNS. If the hosts file has
// several addresses for a name, each connection goes to a random one, as with kube-proxy.
type dialer struct {
	net.Dialer
	path   string         // file in the form of hosts(5); a name may have several addresses; empty: only DNS
	random func() float64 // in [0, 1)

	mu    sync.Mutex
	seen  os.FileInfo // version of the file that names was read from
	names map[string][]string
}

// unreadable is the error of a HOSTS_FILE that cannot be read.
type unreadable struct{ error }

func (e unreadable) Error() string  { return "HOSTS_FILE: " + e.error.Error() }
func (e unreadable) Unwrap() error  { return e.error }
func (e unreadable) Reason() string { return "HOSTS_FILE not readable" }

// connectTimeout is the longest time to connect. The call's own timeout may be shorter.
const connectTimeout = 10 * time.Second

func newDialer(path string, random func() float64) *dialer {
	return &dialer{Dialer: net.Dialer{Timeout: connectTimeout}, path: path, random: random}
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
			address = net.JoinHostPort(addrs[int(d.random()*float64(len(addrs)))], port)
		}
	}
	return d.Dialer.DialContext(ctx, network, address)
}

// lookup returns the addresses of a name in the file, which it reads again after a change. Without a file it
// returns none.
func (d *dialer) lookup(name string) ([]string, error) {
	if d.path == "" {
		return nil, nil
	}
	info, err := os.Stat(d.path)
	if err != nil {
		return nil, unreadable{err}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seen == nil || !sameVersion(info, d.seen) {
		text, err := os.ReadFile(d.path)
		if err != nil {
			return nil, unreadable{err}
		}
		d.names, _ = parseHosts(text)
		d.seen = info
	}
	return d.names[strings.ToLower(strings.TrimSuffix(name, "."))], nil
}

// sameVersion reports whether a and b describe the same version of a file. A new version of the same size,
// within one tick of the file system's clock, is recognised only if the file is replaced.
func sameVersion(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// checkHosts returns an error if the file cannot be read, or for the first line that is not an address
// and its names. It returns nil for an empty path.
func checkHosts(path string) error {
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err == nil {
		_, err = parseHosts(text)
	}
	return err
}

// parseHosts parses a file in the form of hosts(5): an address, then its names; # begins a comment. It
// skips other lines, as the C library does, and returns an error for the first of them.
func parseHosts(text []byte) (names map[string][]string, wrong error) {
	names = make(map[string][]string)
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		if err != nil || len(fields) < 2 {
			if wrong == nil {
				wrong = fmt.Errorf("line %d: %.60q: must be an address and its names", number, strings.TrimSpace(line))
			}
			continue
		}
		for _, name := range fields[1:] {
			name = strings.ToLower(strings.TrimSuffix(name, "."))
			names[name] = append(names[name], addr.String())
		}
	}
	return names, wrong
}
