package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"fleetman.example/kit/fault"
)

// FallbackHeader marks a degraded answer, so that it never passes for a fresh one: "last-known;
// age=12s", "placeholder".
const FallbackHeader = "X-Fallback"

// Placeholder returns a JSON answer to a GET for which nothing is known; nil where there is none.
type Placeholder func(r *http.Request) []byte

// fallback answers a GET that has failed with the last good answer to the same call, or with a
// placeholder. A final 429 has failed, as a 503 has.
type fallback struct {
	next        http.RoundTripper
	known       *store
	placeholder Placeholder // nil: there is none
	fellBack    func(ctx context.Context, kind, text string)
}

func (f *fallback) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	resp, err := f.next.RoundTrip(r)
	if r.Method != http.MethodGet {
		return resp, err
	}
	if (outcome{resp, err}).succeeded() {
		if err = f.remember(r, resp, began); err == nil {
			return resp, nil
		}
		resp = nil // its body broke off
	}
	if errors.Is(r.Context().Err(), context.Canceled) {
		return resp, err // no one waits for a fallback
	}
	degraded, kind := f.degraded(r)
	if degraded == nil {
		return resp, err
	}
	if resp != nil {
		_ = resp.Body.Close()
	}
	f.fellBack(r.Context(), kind, degraded.Header.Get(FallbackHeader))
	return degraded, nil
}

// remember keeps a good answer, and forgets what another answer says is no more. An answer that is
// itself degraded or injected is not kept, and neither is one in an encoding that the next caller may
// not accept.
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

// degraded returns the answer in place of one that has failed, and its kind; nil when there is none.
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

// standsIn reports whether there is an answer in place of a failed one to r.
func (f *fallback) standsIn(r *http.Request) bool {
	if r.Method != http.MethodGet {
		return false
	}
	resp, _ := f.degraded(r)
	return resp != nil
}
