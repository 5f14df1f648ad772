package apierror

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// failed is an error with an origin.
type failed struct{ origin Origin }

func (failed) Error() string    { return "failed" }
func (failed) HTTPStatus() int  { return http.StatusInternalServerError }
func (f failed) Origin() Origin { return f.origin }

// An answer has the origin of its error in a header, and only the original's fields in its JSON.
func TestAnswerNamesTheOrigin(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{failed{Origin{OriginUpstream, "staff-service"}}, "upstream; service=staff-service"},
		{fmt.Errorf("read: %w", failed{Origin{OriginBreaker, "staff-service"}}), "breaker; service=staff-service"},
		{failed{}, ""},
		{New(http.StatusNotFound, "no such path"), ""},
		{errors.New("internal"), ""},
	} {
		w := httptest.NewRecorder()
		Answer(w, httptest.NewRequest("GET", "/x", nil), tc.err)
		if got := w.Header().Get(OriginHeader); got != tc.want {
			t.Errorf("%v: got %q, want %q", tc.err, got, tc.want)
		}
		if body := w.Body.String(); strings.Contains(body, "origin") || strings.Count(body, `":`) != 5 {
			t.Errorf("%v: got %s, want the five fields of the original", tc.err, body)
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
