package upstream

import (
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

// A 5xx with an incomplete body is passed on with the received part.
func TestIncomplete5xxKeepsItsBody(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t, only(t, "RETRY_ATTEMPTS", "0", "BULKHEAD", "5"), statuses(502), nil)
		b.is(b.get(), "502 x")
		b.answer = func(*http.Request, int) (*http.Response, error) { return incomplete(502), nil }
		b.is(b.get(), "502 ok")
		b.closed()
	})
}

// Answers of all lengths are complete, with or without Content-Length.
func TestAnswersOfAllLengths(t *testing.T) {
	for _, n := range []int{0, 1, maxPreallocated - 1, maxPreallocated, maxPreallocated + 1, 5 * maxPreallocated} {
		body := strings.Repeat("x", n)
		for _, length := range []int64{int64(n), -1} {
			resp := answered200(body)
			resp.ContentLength = length
			got, err := readAll(resp)
			if err != nil || string(got) != body {
				t.Errorf("%d bytes with Content-Length %d: got %d and %v", n, length, len(got), err)
			}
		}
	}
	for _, length := range []int64{3, maxPreallocated + 1} {
		resp := answered200("ok")
		resp.ContentLength = length
		if got, err := readAll(resp); err != io.ErrUnexpectedEOF || string(got) != "ok" {
			t.Errorf("two bytes with Content-Length %d: got %q and %v", length, got, err)
		}
	}
	resp := answered200("")
	resp.Body, resp.ContentLength = io.NopCloser(endless{}), -1
	if _, err := readAll(resp); err != (tooLarge{}) {
		t.Errorf("an endless answer: got %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// Content-Length does not cause an allocation of its size.
func TestContentLengthAllocatesNothing(t *testing.T) {
	resp := answered200("")
	resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader("ok")), maxAnswer
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _ = readAll(resp)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 4*maxPreallocated {
		t.Errorf("two bytes took %d", took)
	}
}
