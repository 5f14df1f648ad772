//go:build !local

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/record"
	"fleetman.example/lab/report"
	"fleetman.example/lab/tcp"
	"fleetman.example/lab/usage"
)

// servePort is the default of --port; 30080 is the map's, 30090 the console's.
const servePort = 30091

// serve serves the page of comparisons that may still be running, until ctx ends.
func (f reportFlags) serve(ctx context.Context, dirs []string, goals []experiment.Goal, w io.Writer) error {
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return usage.Errorf("%s: must be the directory of a comparison", quoted(dir))
		}
	}
	pages := &livePages{dirs: dirs, goals: goals}
	if _, err := pages.current(); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(f.port))))
	if err != nil {
		return fmt.Errorf("--port %d: %w: must be a free port, or 0 for any", f.port, err)
	}
	fmt.Fprintf(w, "http://%s/ shows the report, and each run when it is measured; Ctrl-C ends it\n", listener.Addr())
	return tcp.Serve(ctx, listener, pages.handler())
}

// livePages makes the page again when the records have changed.
type livePages struct {
	dirs  []string
	goals []experiment.Goal

	mu   sync.Mutex
	seen string // the records' sizes and times
	live report.Live
	err  error
}

// current returns the page of the whole runs that there are now.
func (p *livePages) current() (report.Live, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	state := "records"
	for _, dir := range p.dirs {
		for _, name := range []string{record.FileName, record.CompressedName} {
			if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
				state += fmt.Sprint(" ", info.Size(), info.ModTime().UnixNano())
			}
		}
	}
	if state != p.seen {
		p.seen = state
		p.live, p.err = p.make()
	}
	return p.live, p.err
}

func (p *livePages) make() (report.Live, error) {
	var all []*record.Comparison
	for _, dir := range p.dirs {
		c, err := record.ReadWholeDir(dir)
		if err != nil {
			return report.Live{}, err
		}
		if c != nil {
			all = append(all, c)
		}
	}
	return report.NewLive(p.goals, all...)
}

// handler serves the page at /, to pages and programs of this machine alone: a
// name of another that leads here is refused.
func (p *livePages) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if !isLoopback(r.Host) {
			http.Error(w, fmt.Sprintf("Host: %q: must be localhost or a loopback address", r.Host), http.StatusForbidden)
			return
		}
		live, err := p.current()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("ETag", live.Version)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(live.Page))
	})
	return mux
}

// isLoopback reports whether a Host header names this machine.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && address.IsLoopback()
}
