package trace

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestHandlers(t *testing.T) {
	s := NewStore()
	s.add("good", []Span{step("1", "", 0, time.Millisecond, OK)})
	s.add("bad", []Span{step("1", "", time.Second, time.Millisecond, Failed)})
	s.add("slow", []Span{step("1", "", 2*time.Second, slow, OK)})
	mux := http.NewServeMux()
	for path, handler := range s.Handlers() {
		mux.Handle("GET /api/"+path, handler)
	}
	const bad = `{"id":"bad","start":"2026-01-02T03:04:06Z","duration":0.001,"root":"s n","status":"error","count":1`
	for _, tc := range []struct {
		path   string
		status int
		want   string
	}{
		{"traces?show=error", 200, "[" + bad + "}]\n"},
		{"traces?show=degraded", 200, "[]\n"},
		{"traces?show=some", 400, `{"error":"show: \"some\": must be all, notable, error or degraded"}` + "\n"},
		{"traces/bad", 200, bad + `,"spans":[{"id":"1","service":"s","proxy":false,"kind":"server","name":"n","start":"2026-01-02T03:04:06Z","duration":0.001,"status":"error","attributes":null}]}` + "\n"},
		{"traces/gone", 404, `{"error":"id: \"gone\": must be one of the last 1000 traces"}` + "\n"},
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", "/api/"+tc.path, nil))
		if w.Code != tc.status || w.Body.String() != tc.want || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: got %d %s\nwant %d %s", tc.path, w.Code, w.Body, tc.status, tc.want)
		}
	}
	for query, want := range map[string][]string{"": {"slow", "bad", "good"}, "?show=all": {"slow", "bad", "good"}, "?show=notable": {"slow", "bad"}} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", "/api/traces"+query, nil))
		at := -1
		for _, id := range want {
			next := strings.Index(w.Body.String(), `"id":"`+id+`"`)
			if next <= at {
				t.Errorf("%q: no %s in its place in %s", query, id, w.Body)
			}
			at = next
		}
		if n := strings.Count(w.Body.String(), `"id"`); n != len(want) {
			t.Errorf("%q: %d traces, want %d", query, n, len(want))
		}
	}
}
