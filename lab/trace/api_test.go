package trace

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
		assert.Equal(t, tc.status, w.Code, tc.path)
		assert.Equal(t, tc.want, w.Body.String(), tc.path)
		assert.Equal(t, "application/json", w.Header().Get("Content-Type"), tc.path)
	}
	for query, want := range map[string][]string{"": {"slow", "bad", "good"}, "?show=all": {"slow", "bad", "good"}, "?show=notable": {"slow", "bad"}} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", "/api/traces"+query, nil))
		var got []Summary
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
		assert.Equal(t, want, ids(got), query)
	}
}
