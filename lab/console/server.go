package console

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"fleetman.example/lab/jsonhttp"
	"fleetman.example/lab/tcp"
)

// Port is the default port of the console.
const Port = 30090

// tokenHeader has the page's token in requests that change the fleet.
const tokenHeader = "X-Console-Token"

// maxBody bounds the body of a request, in bytes.
const maxBody = 64 << 10

// Server serves the console of a fleet.
type Server struct {
	listener net.Listener
	done     chan struct{}
	load     *generator
	cancel   context.CancelFunc
}

// Listen opens a port of a loopback address for a console; 0 is a free port.
func Listen(address netip.Addr, port int) (net.Listener, error) {
	if !address.IsLoopback() {
		address = netip.MustParseAddr("127.0.0.1")
	}
	at := netip.AddrPortFrom(address, uint16(port)).String()
	listener, err := net.Listen("tcp", at)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err
		}
		return nil, fmt.Errorf("console: %s: %w: choose another port with --console-port, or 0 for none", at, err)
	}
	return listener, nil
}

// Serve serves the console of a source at a listener, which it closes in the end. mounts are further
// handlers of GET requests, by path below /api/.
func Serve(listener net.Listener, source Source, mounts map[string]http.Handler) (*Server, error) {
	page, err := newPage()
	if err != nil {
		listener.Close()
		return nil, err
	}
	generator := newGenerator(source)
	a := api{
		source: source, load: generator, watcher: newWatcher(source, generator), page: page,
		token: rand.Text(), host: listener.Addr().String(), mounts: mounts,
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{listener: listener, done: make(chan struct{}), load: generator, cancel: cancel}
	go func() {
		defer close(s.done)
		_ = tcp.Serve(ctx, listener, a.routes())
	}()
	return s, nil
}

// URL returns the address of the page.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Close ends the load, all streams and the server.
func (s *Server) Close() {
	s.cancel()
	<-s.done
	s.load.close()
}

// api has the handlers of a console.
type api struct {
	source  Source
	load    *generator
	watcher *watcher
	page    *page
	token   string
	host    string // ADDRESS:PORT of the listener
	mounts  map[string]http.Handler
}

func (a api) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/stream", a.stream)
	mux.HandleFunc("GET /api/lessons", a.lessons)
	mux.HandleFunc("POST /api/change", withBody(a.change))
	mux.HandleFunc("POST /api/load", withBody(a.setLoad))
	mux.HandleFunc("POST /api/check", a.check)
	mux.HandleFunc("POST /api/trace", withBody(a.traceOne))
	for path, handler := range a.mounts {
		mux.Handle("GET /api/"+path, handler)
	}
	mux.HandleFunc("GET /api/", func(w http.ResponseWriter, _ *http.Request) {
		jsonhttp.Error(w, http.StatusNotFound, errors.New("no such resource"))
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) { a.page.serve(w, r, a.token) })
	return a.guard(mux)
}

// guard refuses requests that a foreign page can make: those of a page whose name resolves to this address
// (DNS rebinding), and those of another origin. A change needs the token of the page, too.
func (a api) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		safe := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case !a.isOwn(r.Host):
			jsonhttp.Error(w, http.StatusForbidden, fmt.Errorf("Host: %.100q: must be %s", r.Host, a.host))
		case r.Header.Get("Origin") != "" && r.Header.Get("Origin") != "http://"+r.Host:
			jsonhttp.Error(w, http.StatusForbidden, fmt.Errorf("Origin: %.100q: must be http://%s", r.Header.Get("Origin"), a.host))
		case strings.HasPrefix(r.URL.Path, "/api/") && slices.Contains([]string{"cross-site", "same-site"}, r.Header.Get("Sec-Fetch-Site")): // sent for another page
			jsonhttp.Error(w, http.StatusForbidden, fmt.Errorf("Sec-Fetch-Site: %.40q: must be same-origin", r.Header.Get("Sec-Fetch-Site")))
		case !safe && subtle.ConstantTimeCompare([]byte(r.Header.Get(tokenHeader)), []byte(a.token)) != 1:
			jsonhttp.Error(w, http.StatusForbidden, fmt.Errorf("%s: must be the token of the page: load it again", tokenHeader))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// isOwn reports whether a Host header is the console's own address, or localhost with its port.
func (a api) isOwn(host string) bool {
	_, port, _ := net.SplitHostPort(a.host)
	return host == a.host || host == net.JoinHostPort("localhost", port)
}

// stream sends the states as server-sent events, until the page is closed.
func (a api) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	messages, end := a.watcher.watch()
	defer end()
	flush := http.NewResponseController(w).Flush
	for {
		select {
		case message := <-messages:
			if _, err := w.Write(message); err != nil || flush() != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

func (a api) lessons(w http.ResponseWriter, _ *http.Request) {
	lessons, err := a.source.Lessons()
	answer(w, lessons, err)
}

func (a api) change(ctx context.Context, c Change) (any, error) {
	did, err := a.source.Change(ctx, c)
	return map[string]string{"did": did}, err
}

type wantedLoad struct {
	Rate float64        `json:"rate"`
	Mix  map[string]int `json:"mix"`
}

func (a api) setLoad(_ context.Context, wanted wantedLoad) (any, error) {
	return struct{}{}, a.load.set(wanted.Rate, wanted.Mix)
}

type wantedTrace struct {
	Stream string `json:"stream"`
}

// traceOne sends a request of a stream, and returns the ID of its trace.
func (a api) traceOne(ctx context.Context, wanted wantedTrace) (any, error) {
	id, err := a.load.trace(ctx, wanted.Stream)
	return map[string]string{"id": id}, err
}

func (a api) check(w http.ResponseWriter, r *http.Request) {
	promise, err := strconv.Atoi(r.URL.Query().Get("promise"))
	if err != nil || promise < 0 {
		jsonhttp.Error(w, http.StatusBadRequest, fmt.Errorf("promise: %.20q: must be a number from 0", r.URL.Query().Get("promise")))
		return
	}
	result, err := a.source.Check(r.Context(), promise)
	answer(w, result, err)
}

// withBody returns the handler of requests whose body is one JSON object with known fields.
func withBody[T any](do func(context.Context, T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body T
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		decoder.DisallowUnknownFields()
		err := decoder.Decode(&body)
		if err == nil && decoder.Decode(&struct{}{}) != io.EOF {
			err = errors.New("more than one value")
		}
		if err != nil {
			jsonhttp.Error(w, http.StatusBadRequest, fmt.Errorf("body: %s: must be one JSON object", strings.TrimPrefix(err.Error(), "json: ")))
			return
		}
		result, err := do(r.Context(), body)
		answer(w, result, err)
	}
}

// answer writes a result, or an error with status 422.
func answer(w http.ResponseWriter, result any, err error) {
	if err != nil {
		jsonhttp.Error(w, http.StatusUnprocessableEntity, err)
		return
	}
	jsonhttp.Write(w, http.StatusOK, result)
}
