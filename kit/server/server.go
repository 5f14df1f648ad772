package server

import (
	"context"
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

	"go.opentelemetry.io/otel/metric"

	"fleetman.example/kit/env"
	"fleetman.example/kit/fault"
	"fleetman.example/kit/observe"
)

// Config is what every service's listener needs.
type Config struct {
	ListenAddr       string        // empty: no listener but the admin's
	AdminAddr        string        // health and metrics; never reachable through ListenAddr
	MaxBody          int64         // bytes of a request's body
	MaxConnections   int           // of ListenAddr, at once
	PropagateHeaders bool          // whether inbound headers go out again on calls made for a request
	DrainDelay       time.Duration // from SIGTERM to closing the listener: time for callers to leave
	DrainTimeout     time.Duration // how long accepted requests may then take

	Faults     *fault.Set              // what goes wrong on purpose; nil: nothing ever
	AdminToken string                  // what changes of Faults need; empty: they need none on loopback, and are refused elsewhere
	Admin      map[string]http.Handler // more of the admin listener, by pattern
}

// ReadConfig reads the configuration of a service that listens on listenDefault, all but
// DrainTimeout: see ReadDrainTimeout.
func ReadConfig(r *env.Reader, listenDefault string) Config {
	observe.Check(r)
	cfg := Config{ListenAddr: r.Addr("LISTEN_ADDR", listenDefault, "where the service listens")}
	r.Shared(func() { cfg.readShared(r) })
	if _, port, _ := net.SplitHostPort(cfg.ListenAddr); cfg.ListenAddr == cfg.AdminAddr && port != "0" {
		r.Fail("ADMIN_ADDR", "must be another address than LISTEN_ADDR's")
	}
	return cfg
}

// readShared reads what every service that listens has.
func (cfg *Config) readShared(r *env.Reader) {
	*cfg = Config{
		ListenAddr:       cfg.ListenAddr,
		AdminAddr:        readAdmin(r),
		MaxBody:          r.Int64("MAX_BODY_BYTES", 64<<10, 1, 64<<20, "largest request body, in bytes; a larger one is answered 413"),
		MaxConnections:   r.Int("MAX_CONNECTIONS", 1500, 1, 1_000_000, "connections at once; requests on others are answered 503"),
		PropagateHeaders: r.Bool("PROPAGATE_HEADERS", true, "whether inbound x-, trace and baggage headers go out again on every call made for a request"),
		DrainDelay:       r.Duration("DRAIN_DELAY", 500*time.Millisecond, 0, time.Minute, "time between SIGTERM and closing the listener; the service says it is not ready, and answers close their connections"),
		Faults:           readFaults(r),
		AdminToken:       r.Secret("ADMIN_TOKEN", "bearer token that changes of faults need; unset, they are refused, but on loopback, where they need none"),
		Admin:            make(map[string]http.Handler),
	}
}

func readFaults(r *env.Reader) *fault.Set {
	rules, err := fault.Parse(r.String("FAULTS", "", "what goes wrong on purpose, such as `delay=0s..5s,rate=0.5;status=502,path=/driver/`; the grammar is in `kit/fault`"))
	if err != nil {
		r.Fail("FAULTS", "%v", err)
	}
	seed := r.Int64("FAULTS_SEED", 0, 0, math.MaxInt64, "makes faults reproducible: the same seed and the same order of requests, the same faults; `0` draws one")
	return fault.NewSet(uint64(seed), rules, time.Now)
}

// injector makes requests meet cfg.Faults.
func (cfg Config) injector(o *observe.Observer) fault.Injector {
	count, err := o.Meter().Int64Counter("fleetman.faults", metric.WithDescription("Faults injected, by kind."))
	if err != nil {
		panic(err) // the name is a constant
	}
	return fault.Injector{Set: cfg.Faults, Log: o.Log, Count: count, Exit: os.Exit}
}

// ReadAdminConfig reads the configuration of a program that only sends. It has no requests that
// could meet a fault, and one that would never fire is not taken in silence.
func ReadAdminConfig(r *env.Reader) Config {
	observe.Check(r)
	if r.String("FAULTS", "", "must be unset: nobody calls this program, so no request could meet a fault") != "" {
		r.Fail("FAULTS", "must be unset: nobody calls this program; set them where it calls")
	}
	return Config{AdminAddr: readAdmin(r), Admin: make(map[string]http.Handler)}
}

func readAdmin(r *env.Reader) (addr string) {
	r.Shared(func() {
		addr = r.Addr("ADMIN_ADDR", "127.0.0.1:9090", "where `/healthz`, `/readyz` and `/metrics` are")
	})
	return addr
}

// ReadDrainTimeout reads how long accepted requests may take after SIGTERM, for a service whose
// longest request makes so many calls of other services, one after the other, each within timeout.
// Less than they may take would break off what was accepted.
func ReadDrainTimeout(r *env.Reader, calls int, timeout time.Duration) time.Duration {
	longest, than := time.Duration(calls)*timeout, "`UPSTREAM_TIMEOUT`"
	if calls > 1 {
		than = fmt.Sprintf("%d times `UPSTREAM_TIMEOUT`, for the calls that one request makes", calls)
	}
	meaning := "longest wait for accepted requests after SIGTERM"
	if calls > 0 {
		meaning += "; longer than " + than
	}
	drain := r.Duration("DRAIN_TIMEOUT", max(longest, bodyTimeout)+5*time.Second, 0, time.Hour, meaning)
	if calls > 0 && drain <= longest {
		r.Fail("DRAIN_TIMEOUT", "must be longer than %s: %s", longest, strings.ReplaceAll(than, "`", ""))
	}
	return drain
}

// asJava is the name by which the demo's published manifests start every service:
// `command: ["java", "-Xmx50m", "-jar", "webapp.jar"]`. The images have the program under it too,
// and what follows it is for a JVM.
const asJava = "java"

// Main runs a service's run until SIGTERM or SIGINT and returns the process's exit code: 2 for
// arguments (unless it was started as java), 1 for an error, which goes to stderr, whole.
//
// A service's heap is a few MB, so the collector would run for every 4 MB that requests leave
// behind, a twentieth of all CPU. The ballast, never touched and so never resident, has it wait
// for 8 MB more; a higher GOGC would do so too, but multiply the tracker's large heap.
func Main(run func(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error) int {
	if len(os.Args) > 1 && filepath.Base(os.Args[0]) != asJava {
		fmt.Fprintf(os.Stderr, "arguments: %q: must be none: a service is configured by its environment\n", os.Args[1:])
		return 2
	}
	limitMemory()
	ballast := make([]byte, 8<<20)
	defer runtime.KeepAlive(ballast)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, nil, os.Getenv, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Run listens, then serves handler (nil: only the admin listener) until ctx ends, then drains:
// it says that it is not ready, goes on accepting for DrainDelay while every answer closes its
// connection, then closes the listener and waits for what was accepted. The line "listening" of
// the log tells the addresses.
func Run(ctx context.Context, cfg Config, o *observe.Observer, handler http.Handler) (err error) {
	admin, err := net.Listen("tcp", cfg.AdminAddr)
	if err != nil {
		return fmt.Errorf("ADMIN_ADDR: %w", err)
	}
	var draining atomic.Bool
	adminServer := newServer(adminHandler(cfg, o, admin.Addr(), &draining))
	failed := make(chan error, 2)
	go func() { failed <- adminServer.Serve(admin) }()
	defer func() { err = errors.Join(err, adminServer.Close()) }()

	if handler == nil {
		o.Log.InfoContext(ctx, "listening", "admin", admin.Addr().String())
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
	callers := &crowd{most: int64(cfg.MaxConnections)}
	server := newServer(leaving(&draining, callers.refuse(o.Handler(handler, cfg.PropagateHeaders))))
	server.ConnContext, server.ConnState = callers.accepted, callers.changed
	go func() { failed <- server.Serve(listener) }()
	o.Log.InfoContext(ctx, "listening", "addr", listener.Addr().String(), "admin", admin.Addr().String())

	select {
	case <-ctx.Done():
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	}
	draining.Store(true)
	o.Log.Info("draining")
	time.Sleep(cfg.DrainDelay) // nothing is waited for but callers' leaving, which no one announces
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.DrainTimeout)
	defer cancel()
	if err := server.Shutdown(deadline); err != nil {
		return fmt.Errorf("drain: requests still running after %s: %w", cfg.DrainTimeout, errors.Join(err, server.Close()))
	}
	return nil
}

// maxHeader bounds a request's line and headers, in bytes; net/http answers 431 to more.
const maxHeader = 16 << 10

// newServer bounds what a caller may take of a connection. Callers close idle connections after
// 90 s (kit/upstream), so the server, which waits longer, never closes one that is being used.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       3 * time.Minute,
		MaxHeaderBytes:    maxHeader - 4<<10, // net/http reads 4 kB more
	}
}

// leaving closes each connection with its answer while the service drains.
func leaving(draining *atomic.Bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

func adminHandler(cfg Config, o *observe.Observer, addr net.Addr, draining *atomic.Bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if draining.Load() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ready\n")
	})
	mux.Handle("GET /metrics", o.Metrics())
	if cfg.Faults != nil {
		mux.Handle("/faults", cfg.Faults.Admin(addr, cfg.AdminToken))
	}
	for pattern, handler := range cfg.Admin {
		mux.Handle(pattern, handler)
	}
	return withoutForeignPages(addr, mux)
}
