// Package wants compares texts of which a part changes from run to run.
package wants

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Text fails the test unless got is want, in which … stands for any text without a newline. what names the text.
func Text(t testing.TB, what, got, want string) {
	t.Helper()
	pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*") + "$"
	if !regexp.MustCompile(pattern).MatchString(got) {
		assert.Equal(t, want, got, what)
	}
}

// Error fails the test unless the text of err is want, as Text has it. what names what returned the error. An empty
// want is no error.
func Error(t testing.TB, what string, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	Text(t, what, got, want)
}
