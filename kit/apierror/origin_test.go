package apierror

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// failed is an error with an origin.
type failed struct{ origin Origin }

func (failed) Error() string    { return "failed" }
func (failed) HTTPStatus() int  { return http.StatusInternalServerError }
func (f failed) Origin() Origin { return f.origin }

// An answer names the origin of its error in the header. Its JSON has the original's fields, and the origin
// if the library gave up.
func TestAnswerNamesTheOrigin(t *testing.T) {
	for _, tc := range []struct {
		err          error
		header, json string
	}{
		{failed{Origin{OriginUpstream, "staff-service"}}, "upstream; service=staff-service", ""},
		{failed{Origin{OriginTimeout, "staff-service"}}, "timeout; service=staff-service", "timeout"},
		{failed{Origin{OriginBulkhead, "staff-service"}}, "bulkhead; service=staff-service", "bulkhead"},
		{fmt.Errorf("read: %w", failed{Origin{OriginBreaker, "staff-service"}}), "breaker; service=staff-service", "breaker"},
		{failed{}, "", ""},
		{New(http.StatusNotFound, "no such path"), "", ""},
		{errors.New("internal"), "", ""},
	} {
		w := httptest.NewRecorder()
		Answer(w, httptest.NewRequest("GET", "/x", nil), tc.err)
		if got := w.Header().Get(OriginHeader); got != tc.header {
			t.Errorf("%v: got %q, want %q", tc.err, got, tc.header)
		}
		var body map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		got, has := body["origin"]
		delete(body, "origin")
		if fields := slices.Sorted(maps.Keys(body)); !slices.Equal(fields, []string{"error", "message", "path", "status", "timestamp"}) {
			t.Errorf("%v: got the fields %q besides origin", tc.err, fields)
		}
		if has != (tc.json != "") || has && got != tc.json {
			t.Errorf("%v: got origin %v in %s, want %q", tc.err, got, w.Body, tc.json)
		}
	}
}

func TestReadOrigin(t *testing.T) {
	for _, kind := range []OriginKind{OriginUpstream, OriginTimeout, OriginBreaker, OriginBulkhead} {
		o := Origin{kind, "staff-service"}
		if got, ok := ReadOrigin(http.Header{OriginHeader: {o.String()}}); !ok || got != o {
			t.Errorf("%s: got %v, %t", o, got, ok)
		}
	}
	for _, bad := range [][]string{
		nil,
		{""},
		{"upstream"},
		{"upstream; service="},
		{"upstream;service=a"},
		{"Upstream; service=a"},
		{"self; service=a"},
		{"upstream; service=a b"},
		{"upstream; service=A"},
		{"upstream; service=a; service=b"},
		{"upstream; service=" + strings.Repeat("a", 64)},
		{"upstream; service=a", "upstream; service=b"},
	} {
		if got, ok := ReadOrigin(http.Header{OriginHeader: bad}); ok {
			t.Errorf("%q: got %v, want none", bad, got)
		}
	}
}
