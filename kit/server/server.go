package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"fleetman.example/kit/env"
	"fleetman.example/kit/fault"
	"fleetman.example/kit/observe"
)

// Config configures the listeners of a service.
type Config struct {
	ListenAddr       string        // empty: only the admin listener
	AdminAddr        string        // of the admin listener: health, metrics, faults
	MaxBody          int64         // largest body of a request, in bytes
	MaxConnections   int           // concurrent connections of ListenAddr
	PropagateHeaders bool          // see observe.Carry
	DrainDelay       time.Duration // from SIGTERM to closing the listener, so that callers can move away
	DrainTimeout     time.Duration // longest wait for accepted requests after that
	TLS              *tls.Config   // of ListenAddr; nil: plaintext

	Faults     []fault.Rule // faults to inject
	FaultsSeed uint64       // of the faults; 0: random
	AdminToken string       // bearer token to change faults; empty: see fault.Set.Admin
}

// ReadConfig reads the configuration of a service whose default address is listenDefault, except
// DrainTimeout: see ReadDrainTimeout.
func ReadConfig(r *env.Reader, listenDefault string) Config {
	observe.Check(r)
	cfg := Config{ListenAddr: r.Addr("LISTEN_ADDR", listenDefault, "address to listen on")}
	r.Shared(func() { cfg.readShared(r) })
	if _, port, _ := net.SplitHostPort(cfg.ListenAddr); cfg.ListenAddr == cfg.AdminAddr && port != "0" {
		r.Fail("ADMIN_ADDR", "must differ from LISTEN_ADDR")
	}
	return cfg
}

// readShared reads the variables that all listening services have.
func (cfg *Config) readShared(r *env.Reader) {
	*cfg = Config{
		ListenAddr:       cfg.ListenAddr,
		AdminAddr:        readAdmin(r),
		MaxBody:          r.Int64("MAX_BODY_BYTES", 64<<10, 1, 64<<20, "largest body of a request, in bytes; larger ones are answered 413"),
		MaxConnections:   r.Int("MAX_CONNECTIONS", 1500, 1, 1_000_000, "concurrent connections; requests on further ones are answered 503"),
		PropagateHeaders: r.Bool("PROPAGATE_HEADERS", true, "whether calls made for a request carry its x-, trace and baggage headers"),
		DrainDelay:       r.Duration("DRAIN_DELAY", 500*time.Millisecond, 0, time.Minute, "time from SIGTERM to closing the listener; meanwhile `/readyz` answers 503 and each answer closes its connection"),
	}
	cfg.readFaults(r)
	cfg.AdminToken = r.Secret("ADMIN_TOKEN", "bearer token to change faults; if unset, changes are refused, except on loopback, where they need no token")
}

func (cfg *Config) readFaults(r *env.Reader) {
	var err error
	cfg.Faults, err = fault.Parse(r.String("FAULTS", "", "faults to inject, such as `delay=0s..5s,rate=0.5;status=502,path=/driver/`; see `kit/fault` for the grammar"))
	if err != nil {
		r.Fail("FAULTS", "%v", err)
	}
	cfg.FaultsSeed = uint64(r.Int64("FAULTS_SEED", 0, 0, math.MaxInt64, "seed of the faults: the same seed and sequence of requests give the same faults; `0`: random"))
}

// ReadAdminConfig reads the configuration of a program that has only an admin listener. A value of FAULTS
// is an error: the program has no requests into which a fault could be injected.
func ReadAdminConfig(r *env.Reader) Config {
	observe.Check(r)
	if r.String("FAULTS", "", "must be unset: this program receives no requests") != "" {
		r.Fail("FAULTS", "must be unset: this program receives no requests; inject faults into the service that it calls")
	}
	return Config{AdminAddr: readAdmin(r)}
}

func readAdmin(r *env.Reader) (addr string) {
	r.Shared(func() {
		addr = r.Addr("ADMIN_ADDR", "127.0.0.1:9090", "address of `/healthz`, `/readyz` and `/metrics`")
	})
	return addr
}

// ReadDrainTimeout reads Config.DrainTimeout. calls is how many upstream calls the longest request makes, one after the
// other; timeout is the limit of each. A value that is not longer than all of them together is an error: it would abort
// accepted requests.
func ReadDrainTimeout(r *env.Reader, calls int, timeout time.Duration) time.Duration {
	longest, bound := time.Duration(calls)*timeout, "`UPSTREAM_TIMEOUT`"
	if calls > 1 {
		bound = fmt.Sprintf("%d times `UPSTREAM_TIMEOUT`, as one request makes %d calls", calls, calls)
	}
	meaning := "longest wait for accepted requests after `DRAIN_DELAY`"
	if calls > 0 {
		meaning += "; must be longer than " + bound
	}
	drain := r.Duration("DRAIN_TIMEOUT", max(longest, bodyTimeout)+5*time.Second, 0, time.Hour, meaning)
	if calls > 0 && drain <= longest {
		r.Fail("DRAIN_TIMEOUT", "must be longer than %s (%s)", longest, strings.ReplaceAll(bound, "`", ""))
	}
	return drain
}

// asJava is the second name of the program in the images. The demo's published manifests start every
// service by `command: ["java", "-Xmx50m", "-jar", "webapp.jar"]`; such arguments are ignored.
const asJava = "java"

// Main calls run with a context that ends on SIGTERM or SIGINT, and returns the exit code of the process: 2
// for arguments (unless the program is started as java), 1 for an error, which it writes to stderr.
func Main(run Run) int {
	if len(os.Args) > 1 && filepath.Base(os.Args[0]) != asJava {
		fmt.Fprintf(os.Stderr, "arguments: %q: must be none: a service is configured by its environment\n", os.Args[1:])
		return 2
	}
	limitMemory()
	// A service's heap is a few MB, so the garbage collector would run for every 4 MB that requests allocate,
	// which takes a twentieth of all CPU. The ballast is never written, so it uses no memory; it makes the
	// collector run 8 MB later. A higher GOGC would do so, too, but would multiply the tracker's large heap.
	ballast := make([]byte, 8<<20)
	defer runtime.KeepAlive(ballast)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Serve serves handler on the service's address, and the admin listener, until ctx ends; a nil handler
// means only the admin listener. It logs "listening" with the addresses. Then it drains: for DrainDelay,
// /readyz answers 503 and every answer closes its connection; after that it closes the listener and waits
// for accepted requests, at most DrainTimeout. Serve must be called once.
func (a *App) Serve(ctx context.Context, handler http.Handler) (err error) {
	cfg := a.config
	admin, err := net.Listen("tcp", cfg.AdminAddr)
	if err != nil {
		return fmt.Errorf("ADMIN_ADDR: %w", err)
	}
	var draining atomic.Bool
	adminServer := newServer(a.adminHandler(admin.Addr(), &draining))
	failed := make(chan error, 2)
	go func() { failed <- adminServer.Serve(admin) }()
	defer func() { err = errors.Join(err, adminServer.Close()) }()

	if handler == nil {
		a.Log.InfoContext(ctx, "listening", "admin", admin.Addr().String())
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return fmt.Errorf("serve: %w", err)
		}
	}
	listener, err := net.Listen("tcp", cfg.ListenAddr)
	if err != nil {
		return fmt.Errorf("LISTEN_ADDR: %w", err)
	}
	if cfg.TLS != nil {
		listener = tls.NewListener(listener, cfg.TLS)
	}
	conns := &connLimit{max: int64(cfg.MaxConnections)}
	server := newServer(closeWhileDraining(&draining, conns.refuse(a.Observer.Handler(handler, cfg.PropagateHeaders))))
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return a.faults.ConnContext(conns.accepted(ctx, conn), conn)
	}
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		conns.changed(conn, state)
		a.faults.ConnState(conn, state)
	}
	go func() { failed <- server.Serve(listener) }()
	a.Log.InfoContext(ctx, "listening", "addr", listener.Addr().String(), "admin", admin.Addr().String())

	select {
	case <-ctx.Done():
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	}
	draining.Store(true)
	a.Log.Info("draining")
	time.Sleep(cfg.DrainDelay) // callers give no signal when they have moved away
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.DrainTimeout)
	defer cancel()
	if err := server.Shutdown(deadline); err != nil {
		return fmt.Errorf("drain: requests still running after %s: %w", cfg.DrainTimeout, errors.Join(err, server.Close()))
	}
	return nil
}

// maxHeader is the largest request line and headers, in bytes. net/http answers 431 to more.
const maxHeader = 16 << 10

// newServer returns a server with limits on time and headers. Its idle timeout is longer than that of
// its callers (90 s in kit/upstream), so that it never closes a connection that a caller is about to use.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       3 * time.Minute,
		MaxHeaderBytes:    maxHeader - 4<<10, // net/http reads 4 kB more
	}
}

// closeWhileDraining makes each answer close its connection while the service drains.
func closeWhileDraining(draining *atomic.Bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

func (a *App) adminHandler(addr net.Addr, draining *atomic.Bool) http.Handler {
	mux := a.Admin
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if draining.Load() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ready\n")
	})
	mux.Handle("GET /metrics", a.Metrics())
	if a.config.ListenAddr != "" { // without it there are no requests to inject faults into
		mux.Handle("/faults", a.faults.Admin(addr, a.config.AdminToken))
	}
	return rejectForeignPages(addr, mux)
}
