package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
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

// New returns a Client of the upstream called name (as errors, metrics and spans call it) at base.
// Nothing stands in for its answers.
func New(name string, base *url.URL, cfg Config, o *observe.Observer) *Client {
	return newClient(name, base, cfg, newInstruments(name, o), nil)
}

// NewWithFallback is New for an upstream whose GETs have a fallback where cfg has it on: the last good
// answer or, where there is none, the placeholder; a nil placeholder is none.
func NewWithFallback(name string, base *url.URL, cfg Config, o *observe.Observer, placeholder Placeholder) *Client {
	m := newInstruments(name, o)
	return newClient(name, base, cfg, m, newFallback(cfg, placeholder, m))
}

func newFallback(cfg Config, placeholder Placeholder, m *instruments) *fallback {
	return &fallback{known: newStore(cfg.FallbackVary), placeholder: placeholder, fellBack: m.fellBack}
}

func newClient(name string, base *url.URL, cfg Config, m *instruments, fb *fallback) *Client {
	if base.Scheme == "https" {
		cfg.Breaker.Scope = scopeUpstream // a certificate is of a name, not of an endpoint's address
	}
	hosts := newDialer(cfg.HostsFile, cfg.draw)
	transport := &http.Transport{
		DialContext:         hosts.DialContext,
		MaxIdleConnsPerHost: 1024, // one a concurrent call; the default of 2 opens and closes all the time
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true, // answers pass byte for byte
		ReadBufferSize:      4 << 10,
	}
	return &Client{name, *base, newChain(m, cfg, transport, newResolver(base, hosts).lookup, fb), m}
}

// RoundTripper is the same chain for a reverse proxy. Only a request without a body, or with one that
// GetBody gives anew, is ever repeated.
func (c *Client) RoundTripper() http.RoundTripper { return c.chain }

// FellBack counts, and notes in the request's span, that the request of ctx is answered without what
// the upstream should have done for it; kind names what is missing.
func (c *Client) FellBack(ctx context.Context, kind string) { c.m.fellBack(ctx, kind, kind) }

// Response is an upstream's whole answer, of a status below 500. It is to be read only: the chain
// may have remembered it.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Error is a call without a usable answer: the upstream answered 5xx, could not be reached or took too
// long.
type Error struct {
	Upstream, Method, Path string
	Status                 int   // 0 when there was no answer
	Cause                  error // nil when there was one

	behind apierror.Origin // of a service behind the upstream, where its answer names one
}

func (e *Error) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("status %d reading %s %s %s", e.Status, e.Upstream, e.Method, e.Path)
	}
	return fmt.Sprintf("%s reading %s %s %s", observe.Reason(e.Cause), e.Upstream, e.Method, e.Path)
}

func (e *Error) Unwrap() error { return e.Cause }

// HTTPStatus is what a service answers when an upstream failed it: 500, as the original.
func (e *Error) HTTPStatus() int { return http.StatusInternalServerError }

// Origin returns whose failure the error is: the upstream's, or that of a service behind it. It is the
// zero Origin where the caller left: then nothing failed.
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

// Do calls the upstream. path is escaped (see Path); body is JSON, nil for none. The headers
// that ctx carries go along. Any status below 500 is a Response, all else an *Error.
func (c *Client) Do(ctx context.Context, method, path string, body []byte) (*Response, error) {
	fail := func(err error) (*Response, error) {
		return nil, &Error{Upstream: c.name, Method: method, Path: path, Cause: err}
	}
	resp, err := c.chain.RoundTrip(c.request(ctx, method, path, body))
	if err != nil {
		return fail(err)
	}
	answer, err := readAll(resp)
	if resp.StatusCode >= http.StatusInternalServerError { // a failure, whether or not its body is whole
		failed := &Error{Upstream: c.name, Method: method, Path: path, Status: resp.StatusCode}
		failed.behind, _ = apierror.ReadOrigin(resp.Header)
		return nil, failed
	}
	if err != nil {
		return fail(err)
	}
	return &Response{resp.StatusCode, resp.Header, answer}, nil
}

// request builds what http.NewRequest would, without parsing the address again.
func (c *Client) request(ctx context.Context, method, path string, body []byte) *http.Request {
	u := c.base
	u.RawPath = c.base.EscapedPath() + path
	u.Path = unescape(u.RawPath)
	r := blank.WithContext(ctx) // the one copy
	r.Method, r.URL, r.Host, r.Header = method, &u, u.Host, make(http.Header, 4)
	r.Header["User-Agent"] = userAgent
	if body != nil {
		r.Header["Content-Type"] = contentType
		SetBody(r, body)
	}
	observe.Propagate(ctx, r.Header)
	return r
}

// SetBody gives a request a whole body, which the chain can send again.
func SetBody(r *http.Request, body []byte) {
	r.ContentLength, r.TransferEncoding = int64(len(body)), nil
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, _ = r.GetBody()
}

// These are shared by all requests and never written.
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

// Path joins segments to an escaped path: Path("driver", "City Truck") is "/driver/City%20Truck".
func Path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}
