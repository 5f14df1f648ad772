package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"fleetman.example/kit/apierror"
	"fleetman.example/kit/observe"
)

// Client calls one upstream.
type Client struct {
	name  string
	base  url.URL
	chain http.RoundTripper
	m     *instruments
}

// Set has the upstreams of one service. They have one configuration and one source of random numbers.
type Set struct {
	cfg   Config
	o     *observe.Observer
	shown *chains
	draw  func() float64 // returns a random number in [0, 1), for addresses and back-off
}

// NewSet returns a Set without upstreams. The state of its chains is served on the admin listener.
func NewSet(cfg Config, o *observe.Observer, admin *http.ServeMux) *Set {
	s := &Set{cfg, o, newChains(), rand.Float64}
	s.shown.mount(admin)
	if cfg.Seed != 0 {
		var mu sync.Mutex
		random := rand.New(rand.NewPCG(cfg.Seed, 0))
		s.draw = func() float64 {
			mu.Lock()
			defer mu.Unlock()
			return random.Float64()
		}
	}
	return s
}

// New returns a Client of the upstream at base, without a fallback. Errors, metrics and spans call the
// upstream name.
func (s *Set) New(name string, base *url.URL) *Client {
	return s.newClient(base, newInstruments(name, s.o), nil)
}

// NewWithFallback is New with a fallback for GETs, if it is on: the last good answer or, if there is none,
// the placeholder, which may be nil.
func (s *Set) NewWithFallback(name string, base *url.URL, placeholder Placeholder) *Client {
	m := newInstruments(name, s.o)
	return s.newClient(base, m, newFallback(s.cfg, placeholder, m))
}

func newFallback(cfg Config, placeholder Placeholder, m *instruments) *fallback {
	return &fallback{known: newStore(cfg.FallbackVary), placeholder: placeholder, fellBack: m.fellBack}
}

func (s *Set) newClient(base *url.URL, m *instruments, fb *fallback) *Client {
	cfg := s.cfg
	if base.Scheme == "https" {
		cfg.Breaker.Scope = scopeUpstream // certificates are for the name, not for the endpoints' addresses
	}
	hosts := newDialer(cfg.HostsFile, s.draw)
	transport := &http.Transport{
		DialContext:         hosts.DialContext,
		MaxIdleConnsPerHost: 1024, // one per concurrent call; with the default, 2, most connections are used once
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true, // answers are passed on unchanged
		ReadBufferSize:      4 << 10,
	}
	return &Client{m.name, *base, s.newChain(cfg, m, transport, newResolver(base, hosts).lookup, fb), m}
}

// RoundTripper returns the chain, for a reverse proxy. It repeats only requests without a body or with
// GetBody.
func (c *Client) RoundTripper() http.RoundTripper { return c.chain }

// FellBack counts a degraded answer that a service made without the upstream's answer, and adds it to the
// span of ctx. kind is the attribute of metric and span.
func (c *Client) FellBack(ctx context.Context, kind string) { c.m.fellBack(ctx, kind, kind, "") }

// Response is an upstream's answer with a status below 500. It must not be modified: the fallback may
// have stored it.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Error is the error of a call: the upstream answered 5xx, could not be reached or took too long, or this
// side refused the call.
type Error struct {
	Upstream, Method, Path string
	Status                 int   // 0 without an answer
	Cause                  error // nil with an answer

	behind apierror.Origin // named by the answer
}

func (e *Error) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("status %d reading %s %s %s", e.Status, e.Upstream, e.Method, e.Path)
	}
	return fmt.Sprintf("%s reading %s %s %s", observe.Reason(e.Cause), e.Upstream, e.Method, e.Path)
}

func (e *Error) Unwrap() error { return e.Cause }

// HTTPStatus returns 500, as the original answers if an upstream fails.
func (e *Error) HTTPStatus() int { return http.StatusInternalServerError }

// Origin returns the origin that the answer names, otherwise the upstream. It returns the zero Origin if
// the caller left: then nothing failed.
func (e *Error) Origin() apierror.Origin {
	if e.behind != (apierror.Origin{}) {
		return e.behind
	}
	var timeout net.Error
	kind := apierror.OriginUpstream
	switch {
	case errors.Is(e.Cause, context.Canceled):
		return apierror.Origin{}
	case errors.Is(e.Cause, errOpen):
		kind = apierror.OriginBreaker
	case errors.Is(e.Cause, errBulkhead):
		kind = apierror.OriginBulkhead
	case errors.As(e.Cause, &timeout) && timeout.Timeout():
		kind = apierror.OriginTimeout
	}
	return apierror.Origin{Kind: kind, Service: e.Upstream}
}

// Do calls the upstream. path is escaped (see Path). body is JSON, or nil for none. The headers that
// observe.Carry stored in ctx are propagated. Do returns a Response for a status below 500, otherwise an
// *Error.
func (c *Client) Do(ctx context.Context, method, path string, body []byte) (*Response, error) {
	fail := func(err error) (*Response, error) {
		return nil, &Error{Upstream: c.name, Method: method, Path: path, Cause: err}
	}
	resp, err := c.chain.RoundTrip(c.request(ctx, method, path, body))
	if err != nil {
		return fail(err)
	}
	answer, err := readAll(resp)
	if resp.StatusCode >= http.StatusInternalServerError { // an error in reading the body does not matter
		failed := &Error{Upstream: c.name, Method: method, Path: path, Status: resp.StatusCode}
		failed.behind, _ = apierror.ReadOrigin(resp.Header)
		return nil, failed
	}
	if err != nil {
		return fail(err)
	}
	return &Response{resp.StatusCode, resp.Header, answer}, nil
}

// URL returns the upstream's address of an escaped path (see Path).
func (c *Client) URL(path string) *url.URL {
	u := c.base
	u.RawPath = c.base.EscapedPath() + path
	u.Path = unescape(u.RawPath)
	return &u
}

// request returns a request as http.NewRequest does, without parsing the address again.
func (c *Client) request(ctx context.Context, method, path string, body []byte) *http.Request {
	u := c.URL(path)
	r := blank.WithContext(ctx) // copies blank
	r.Method, r.URL, r.Host, r.Header = method, u, u.Host, make(http.Header, 4)
	r.Header["User-Agent"] = userAgent
	if body != nil {
		r.Header["Content-Type"] = contentType
		SetBody(r, body)
	}
	observe.Propagate(ctx, r.Header)
	return r
}

// SetBody sets the body of a request, and GetBody, so that the chain can send it again.
func SetBody(r *http.Request, body []byte) {
	r.ContentLength, r.TransferEncoding = int64(len(body)), nil
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, _ = r.GetBody()
}

// Shared by all requests, never modified.
var (
	blank       = &http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	userAgent   = []string{"fleetman"}
	contentType = []string{"application/json"}
)

func unescape(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	plain, err := url.PathUnescape(path)
	if err != nil {
		return path
	}
	return plain
}

// Path returns the escaped path of segments: Path("driver", "City Truck") returns "/driver/City%20Truck".
func Path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}
