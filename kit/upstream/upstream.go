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

	"fleetman.example/kit/env"
	"fleetman.example/kit/observe"
)

// Config is how a service calls its upstreams.
type Config struct {
	Timeout   time.Duration // longest wait for an answer
	HostsFile string        // names to look up before DNS; empty: only DNS
}

// ReadConfig reads it from the environment.
func ReadConfig(r *env.Reader) Config {
	return Config{
		Timeout:   r.Duration("UPSTREAM_TIMEOUT", 60*time.Second, time.Millisecond, 10*time.Minute, "longest wait for an upstream's answer"),
		HostsFile: r.String("HOSTS_FILE", "", "names to look up before DNS, in the form of hosts(5); read again when it changes"),
	}
}

// Client calls one upstream.
type Client struct {
	name  string
	base  url.URL
	chain http.RoundTripper
	cfg   Config
}

// New returns a Client of the upstream called name (as errors, metrics and spans call it) at
// base.
func New(name string, base *url.URL, cfg Config, o *observe.Observer) *Client {
	transport := &http.Transport{
		DialContext:         newDialer(cfg.HostsFile).DialContext,
		MaxIdleConnsPerHost: 1024, // one a concurrent call; the default of 2 opens and closes all the time
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true, // answers pass byte for byte
		ReadBufferSize:      4 << 10,
	}
	return &Client{name: name, base: *base, cfg: cfg, chain: o.Transport(name, transport)}
}

// RoundTripper is the same chain for a reverse proxy.
func (c *Client) RoundTripper() http.RoundTripper { return c.chain }

// Response is an upstream's whole answer, of a status below 500.
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

// maxAnswer bounds an answer, in bytes; the longest the contract knows is a history, well below.
const maxAnswer = 64 << 20

// Do calls the upstream. path is escaped (see Path); body is JSON, nil for none. The headers
// that ctx carries go along. Any status below 500 is a Response, all else an *Error.
func (c *Client) Do(ctx context.Context, method, path string, body []byte) (*Response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	fail := func(err error) (*Response, error) {
		if ctxErr := context.Cause(ctx); ctxErr != nil {
			err = ctxErr // says better than the broken connection what happened
		}
		return nil, &Error{Upstream: c.name, Method: method, Path: path, Cause: err}
	}
	resp, err := c.chain.RoundTrip(c.request(ctx, method, path, body))
	if err != nil {
		return fail(err)
	}
	defer resp.Body.Close()
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
	r := &http.Request{
		Method: method, URL: &u, Host: u.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header, 4),
	}
	r.Header["User-Agent"] = userAgent
	if body != nil {
		r.Header["Content-Type"] = contentType
		r.ContentLength = int64(len(body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		r.Body, _ = r.GetBody()
	}
	observe.Propagate(ctx, r.Header)
	return r.WithContext(ctx)
}

// shared by all requests, never written
var (
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

// tooLarge is an answer of more than maxAnswer bytes.
type tooLarge struct{}

func (tooLarge) Error() string  { return fmt.Sprintf("answer of more than %d bytes", maxAnswer) }
func (tooLarge) Reason() string { return "answer too large" }

func readAll(resp *http.Response) ([]byte, error) {
	if resp.ContentLength > maxAnswer {
		return nil, tooLarge{}
	}
	if resp.ContentLength >= 0 {
		body := make([]byte, resp.ContentLength)
		_, err := io.ReadFull(resp.Body, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = tooLarge{}
	}
	return body, err
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
