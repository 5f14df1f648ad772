package upstream

import (
	"net/http"
	"testing"
)

// A 5xx whose body breaks off passes with what came of it, and nothing made up.
func TestBrokenOff5xxKeepsWhatCame(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		resp := brokenOff()
		resp.StatusCode = 502
		w := newWire(nil)
		w.answer = statuses(502)
		b := newBench(t, only(t, "RETRY_ATTEMPTS", "0", "BULKHEAD", "5"), w, nil)
		b.is(b.get(), "502 x")
		w.answer = func(*http.Request, int) (*http.Response, error) { return resp, nil }
		b.is(b.get(), "502 ok")
		b.closed()
	})
}
