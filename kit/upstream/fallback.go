package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"fleetman.example/kit/fault"
)

// FallbackHeader says of a degraded answer what it is, so that it never poses as fresh:
// "last-known; age=12s", "placeholder".
const FallbackHeader = "X-Fallback"

// Placeholder makes a JSON answer to a GET for which nothing is known; nil where there is none.
type Placeholder func(r *http.Request) []byte

// NoPlaceholder is for an upstream whose last answers can stand in, but nothing else.
func NoPlaceholder(*http.Request) []byte { return nil }

// fallback answers a GET that has failed with the last good answer to the same, or with a
// placeholder.
type fallback struct {
	next        http.RoundTripper
	placeholder Placeholder
	m           *instruments

	mu    sync.Mutex
	known map[string]known // by key
	size  int              // what known takes, in bytes
}

// known is a good answer of the past.
type known struct {
	contentType string
	body        []byte
	at          time.Time // when it was asked for
	gone        bool      // it is no more, since then
}

// maxKnown bounds what is remembered of an upstream, in bytes.
const maxKnown = 32 << 20

// bytes is what an answer takes, with about what the map keeps beside it.
func (k known) bytes(key string) int { return len(key) + len(k.contentType) + len(k.body) + 128 }

func newFallback(next http.RoundTripper, placeholder Placeholder, m *instruments) *fallback {
	return &fallback{next: next, placeholder: placeholder, m: m, known: make(map[string]known)}
}

func (f *fallback) RoundTrip(r *http.Request) (*http.Response, error) {
	began := clock()
	resp, err := f.next.RoundTrip(r)
	if r.Method != http.MethodGet {
		return resp, err
	}
	if err == nil && resp.StatusCode < http.StatusInternalServerError {
		if resp, err = f.remember(r, resp, began); err == nil {
			return resp, nil
		}
	}
	if errors.Is(r.Context().Err(), context.Canceled) {
		return resp, err // no one is there for a fallback
	}
	degraded := f.degraded(r)
	if degraded == nil {
		return resp, err
	}
	if resp != nil {
		_ = resp.Body.Close()
	}
	return degraded, nil
}

// remember keeps a good answer, and forgets what another answer says is no more. An answer that
// is itself degraded is not kept, as it would pose as fresh, and neither is an injected one, nor
// one in an encoding that the next caller may not know.
func (f *fallback) remember(r *http.Request, resp *http.Response, began time.Time) (*http.Response, error) {
	body, err := readAll(resp)
	if err != nil {
		return nil, err
	}
	if _, read := resp.Body.(*answered); !read {
		resp.Body = &answered{*bytes.NewReader(body), body}
	}
	switch {
	case resp.Header[FallbackHeader] != nil, resp.Header[fault.Header] != nil, resp.Header["Content-Encoding"] != nil:
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
		f.keep(key(r), known{at: began, gone: true})
	case resp.StatusCode == http.StatusOK:
		if cap(body) > len(body) {
			body = slices.Clip(bytes.Clone(body))
		}
		f.keep(key(r), known{resp.Header.Get("Content-Type"), body, began, false})
	}
	return resp, nil
}

// key tells a call's answer from others': its path, as the call has it (URL.EscapedPath would check
// the spelling, a string each time), its query, and the headers that go on, since releases are
// routed by them. Most calls have a path only.
func key(r *http.Request) string {
	k := r.URL.RawPath
	if k == "" {
		k = r.URL.Path
	}
	if strings.ContainsAny(k, "?\n") { // which stand for something else below
		k = r.URL.EscapedPath()
	}
	if r.URL.RawQuery != "" {
		k += "?" + r.URL.RawQuery
	}
	var routed []string
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-") && !ofTheWay(name) {
			routed = append(routed, "\n"+name+": "+strings.Join(values, ", "))
		}
	}
	slices.Sort(routed)
	return k + strings.Join(routed, "")
}

// ofTheWay tells whether a header names one request, or its way here, and not what it asks for.
func ofTheWay(name string) bool {
	switch name {
	case "X-Request-Id", "X-Correlation-Id", "X-Real-Ip", "X-Ot-Span-Context", "X-Cloud-Trace-Context", "X-Amzn-Trace-Id":
		return true
	}
	return strings.HasPrefix(name, "X-B3-") || strings.HasPrefix(name, "X-Envoy-") ||
		strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "X-Datadog-")
}

// keep takes answer for what is known, unless that is later: a slow answer is an old one. That
// something is gone is known only of what was there.
func (f *fallback) keep(key string, answer known) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last, ok := f.known[key]
	if ok && last.at.After(answer.at) || !ok && answer.gone {
		return
	}
	if answer.bytes(key) > maxKnown {
		f.forget(key)
		return
	}
	if ok {
		f.size -= last.bytes(key)
	}
	f.known[key] = answer
	f.size += answer.bytes(key)
	for other := range f.known { // any will do, when there is no room
		if f.size <= maxKnown {
			break
		}
		if other != key {
			f.forget(other)
		}
	}
}

func (f *fallback) forget(key string) {
	if answer, ok := f.known[key]; ok {
		f.size -= answer.bytes(key)
		delete(f.known, key)
	}
}

// degraded is the answer in place of one that has failed; nil when there is none.
func (f *fallback) degraded(r *http.Request) *http.Response {
	f.mu.Lock()
	last, ok := f.known[key(r)]
	f.mu.Unlock()
	kind, says := "last-known", ""
	if ok && !last.gone {
		says = fmt.Sprintf("last-known; age=%ds", int(clock().Sub(last.at).Seconds()))
	} else {
		kind, says = "placeholder", "placeholder"
		last = known{contentType: "application/json", body: f.placeholder(r)}
		if last.body == nil {
			return nil
		}
	}
	f.m.fellBack(r.Context(), kind, says)
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {last.contentType}, FallbackHeader: {says}},
		Body:          &answered{*bytes.NewReader(last.body), last.body},
		ContentLength: int64(len(last.body)),
		Request:       r,
	}
}
