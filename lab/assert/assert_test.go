package assert_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"fleetman.example/lab/assert"
)

// recorder has the failures of a test.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Fatal(args ...any) { r.failures = append(r.failures, "ended: "+fmt.Sprint(args...)) }

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func TestAssertions(t *testing.T) {
	bad := errors.New("a: b")
	for _, test := range []struct {
		name   string
		assert func(t testing.TB)
		want   []string
	}{
		{"no error", func(t testing.TB) { assert.NoError(t, nil) }, nil},
		{"an error", func(t testing.TB) { assert.NoError(t, bad) }, []string{"ended: a: b"}},
		{"equal", func(t testing.TB) { assert.Equal(t, "x", []string{"a"}, []string{"a"}) }, nil},
		{"other numbers", func(t testing.TB) { assert.Equal(t, "x", 1, 2) }, []string{"x:\n got 1\nwant 2"}},
		{"other texts", func(t testing.TB) { assert.Equal(t, "x", "", "a\nb") }, []string{"x:\n got \"\"\nwant \na\nb"}},
		{"other lists", func(t testing.TB) { assert.Equal(t, "x", nil, []string{"a b"}) }, []string{"x:\n got []\nwant [\"a b\"]"}},
		{"the error", func(t testing.TB) { assert.Error(t, "x", bad, "a: b"); assert.Error(t, "x", nil, "") }, nil},
		{"another error", func(t testing.TB) { assert.Error(t, "x", bad, "a") }, []string{"x:\n got \"a: b\"\nwant \"a\""}},
		{"a part of it", func(t testing.TB) { assert.Error(t, "x", bad, "…: b") }, nil},
		{"another part", func(t testing.TB) { assert.Error(t, "x", bad, "b…") }, []string{"x:\n got \"a: b\"\nwant \"b…\""}},
		{"its cause", func(t testing.TB) { assert.ErrorIs(t, "x", fmt.Errorf("c: %w", bad), bad) }, nil},
		{"another cause", func(t testing.TB) { assert.ErrorIs(t, "x", nil, bad) }, []string{"x:\n got <nil>\nwant a: b"}},
		{"a text of lines", func(t testing.TB) { assert.Like(t, "x", "a\nb", "a…") }, []string{"x:\n got \na\nb\nwant \"a…\""}},
		{"a part", func(t testing.TB) { assert.Contains(t, "x", "a\nb", "b") }, nil},
		{"no part", func(t testing.TB) { assert.Contains(t, "x", "a", "b") }, []string{`x: no "b" in "a"`}},
		{"a pattern's signs", func(t testing.TB) { assert.Like(t, "x", "a.(b", "….(…") }, nil},
	} {
		r := &recorder{TB: t}
		if test.assert(r); !slices.Equal(r.failures, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, r.failures, test.want)
		}
	}
}
