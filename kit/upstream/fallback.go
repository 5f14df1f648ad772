package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"fleetman.example/kit/fault"
)

// FallbackHeader is the header of a degraded answer: "last-known; age=12s" or "placeholder".
const FallbackHeader = "X-Fallback"

// Placeholder returns the JSON to answer to a GET without a last known answer, or nil for none.
type Placeholder func(r *http.Request) []byte

// fallback replaces the answer to a failed GET by the last good answer to the same call, or by a
// placeholder. A 429 is a failure, too.
type fallback struct {
	next        http.RoundTripper
	known       *store
	placeholder Placeholder // nil: none
	fellBack    func(ctx context.Context, kind, text, reason string)
}

func (f *fallback) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	resp, err := f.next.RoundTrip(r)
	if r.Method != http.MethodGet {
		return resp, err
	}
	failed := outcome{resp, err}
	if failed.succeeded() {
		if err = f.remember(r, resp, began); err == nil {
			return resp, nil
		}
		resp = nil // its body is incomplete
		failed = outcome{err: err}
	}
	if errors.Is(r.Context().Err(), context.Canceled) {
		return resp, err // the caller has left
	}
	degraded, kind := f.degraded(r)
	if degraded == nil {
		return resp, err
	}
	if resp != nil {
		_ = resp.Body.Close()
	}
	f.fellBack(r.Context(), kind, degraded.Header.Get(FallbackHeader), failed.reason())
	return degraded, nil
}

// remember stores a 200, and a tombstone for a 404 or 410. It does not store an answer that is degraded,
// injected, or encoded in a way that the next caller may not accept.
func (f *fallback) remember(r *http.Request, resp *http.Response, began time.Time) error {
	body, err := readAll(resp)
	if err != nil {
		return err
	}
	if _, read := resp.Body.(*answered); !read {
		resp.Body = newAnswered(body)
	}
	switch {
	case resp.Header[FallbackHeader] != nil, resp.Header[fault.Header] != nil, resp.Header["Content-Encoding"] != nil:
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
		f.known.keep(r, known{at: began, tombstone: true})
	case resp.StatusCode == http.StatusOK:
		f.known.keep(r, known{contentType: resp.Header.Get("Content-Type"), body: body, at: began})
	}
	return nil
}

// degraded returns the answer that replaces a failed one, and its kind, or nil if there is none.
func (f *fallback) degraded(r *http.Request) (resp *http.Response, kind string) {
	last, ok := f.known.find(r)
	kind, text := "last-known", fmt.Sprintf("last-known; age=%ds", int(time.Since(last.at).Seconds()))
	if !ok {
		if f.placeholder != nil {
			last.body = f.placeholder(r)
		}
		if last.body == nil {
			return nil, ""
		}
		kind, text, last.contentType = "placeholder", "placeholder", "application/json"
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {last.contentType}, FallbackHeader: {text}},
		Body:          newAnswered(last.body),
		ContentLength: int64(len(last.body)),
		Request:       r,
	}, kind
}

// standsIn reports whether there is an answer that replaces a failed one to r.
func (f *fallback) standsIn(r *http.Request) bool {
	if r.Method != http.MethodGet {
		return false
	}
	resp, _ := f.degraded(r)
	return resp != nil
}
