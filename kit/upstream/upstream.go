// Package upstream calls a service: by its name, within a time, with the headers and the trace
// of the request that the call is made for.
package upstream

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"fleetman.example/kit/observe"
)

// Client calls one upstream.
type Client struct {
	name  string
	base  url.URL
	told  []string // the time of an attempt, which most have: see timeLeft
	chain http.RoundTripper
	m     *instruments
}

// New returns a Client of the upstream called name (as errors, metrics and spans call it) at
// base. A placeholder makes it remember good answers, where cfg has fallback on; see Placeholder.
func New(name string, base *url.URL, cfg Config, o *observe.Observer, placeholder ...Placeholder) *Client {
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
	var fallback Placeholder
	if len(placeholder) > 0 {
		fallback = placeholder[0]
	}
	m := newInstruments(name, o)
	return &Client{name, *base, cfg.told(), newChain(m, cfg, transport, newResolver(base, hosts).lookup, fallback), m}
}

// RoundTripper is the same chain for a reverse proxy. Only a request without a body, or with one that
// GetBody gives anew, is ever repeated.
func (c *Client) RoundTripper() http.RoundTripper { return c.chain }

// FellBack counts, and tells the request's span, that ctx's request is answered without what the
// upstream should have done for it; kind says without what.
func (c *Client) FellBack(ctx context.Context, kind string) { c.m.fellBack(ctx, kind, kind) }

// Response is an upstream's whole answer, of a status below 500. It is to be read only: the chain
// may have remembered it.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Error is a call without a usable answer: the upstream said 5xx, could not be reached or took
// too long.
type Error struct {
	Upstream, Method, Path string
	Status                 int   // 0 when there was no answer
	Cause                  error // nil when there was one
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
	if resp.StatusCode >= http.StatusInternalServerError { // its body, whole or not, says no more
		return nil, &Error{Upstream: c.name, Method: method, Path: path, Status: resp.StatusCode}
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
	if c.told != nil {
		r.Header[timeLeft] = c.told
	}
	return r
}

// SetBody gives a request a whole body, which the chain can send again.
func SetBody(r *http.Request, body []byte) {
	r.ContentLength, r.TransferEncoding = int64(len(body)), nil
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, _ = r.GetBody()
}

// shared by all requests, never written
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
