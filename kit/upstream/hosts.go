package upstream

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
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
	path string         // a file in the form of hosts(5), with several addresses a name; empty: only DNS
	draw func() float64 // from 0 to below 1

	mu    sync.Mutex
	seen  os.FileInfo // of the version that names are from
	names map[string][]netip.Addr
}

// unreadable is a HOSTS_FILE that cannot be read.
type unreadable struct{ error }

func (e unreadable) Error() string  { return "HOSTS_FILE: " + e.error.Error() }
func (e unreadable) Unwrap() error  { return e.error }
func (e unreadable) Reason() string { return "HOSTS_FILE not readable" }

// connectTimeout bounds one connection attempt; the call's own time-out may end it sooner.
const connectTimeout = 10 * time.Second

func newDialer(path string, draw func() float64) *dialer {
	return &dialer{Dialer: net.Dialer{Timeout: connectTimeout}, path: path, draw: draw}
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
			address = net.JoinHostPort(addrs[int(d.draw()*float64(len(addrs)))].String(), port)
		}
	}
	return d.Dialer.DialContext(ctx, network, address)
}

// lookup returns the addresses of a name, reading the file again when it has changed.
func (d *dialer) lookup(name string) ([]netip.Addr, error) {
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
		d.names, d.seen = parseHosts(text), info
	}
	return d.names[strings.ToLower(strings.TrimSuffix(name, "."))], nil
}

// sameVersion reports whether two versions of a file are one; two within one tick of the clock differ
// when the file was replaced, not written to.
func sameVersion(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// checkHosts returns an error for a file that cannot be read, and for the first line that is not an
// address with its names. An empty path is no file.
func checkHosts(path string) error {
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if _, err := netip.ParseAddr(fields[0]); err != nil || len(fields) < 2 {
			return fmt.Errorf("line %d: %.60q: must be an address and its names", number, strings.TrimSpace(line))
		}
	}
	return nil
}

// parseHosts reads the form of hosts(5): an address, then its names; # begins a comment. A line
// without a valid address is ignored, as in the C library.
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
