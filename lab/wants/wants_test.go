package wants_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"

	"fleetman.example/lab/wants"
)

// recorder keeps whether a test has failed.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Errorf(string, ...any) { r.failed = true }

func TestTextAndError(t *testing.T) {
	for _, test := range []struct {
		got, want string
		fails     bool
	}{
		{"", "", false},
		{"a: b", "", true},
		{"a: b", "a: b", false},
		{"a: b", "a", true},
		{"a: b", "…: b", false},
		{"a: b", "b…", true},
		{"a\nb", "a…", true},
		{"a.(b", "….(…", false},
		{"a(b", "….(…", true},
	} {
		var err error
		if test.got != "" {
			err = errors.New(test.got)
		}
		ofError, ofText := &recorder{TB: t}, &recorder{TB: t}
		wants.Error(ofError, "x", err, test.want)
		wants.Text(ofText, "x", test.got, test.want)
		assert.Equal(t, []bool{test.fails, test.fails}, []bool{ofError.failed, ofText.failed}, "%q, want %q", test.got, test.want)
	}
}
