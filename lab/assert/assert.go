// Package assert has the assertions that most tests make.
package assert

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// NoError ends the test unless err is nil.
func NoError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Equal fails the test unless got is deeply equal to want. what names the value.
func Equal[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", what, show(got), show(want))
	}
}

// Like fails the test unless got is want, in which … stands for any text without a newline. what names the text.
func Like(t testing.TB, what, got, want string) {
	t.Helper()
	pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*") + "$"
	if !regexp.MustCompile(pattern).MatchString(got) {
		t.Errorf("%s:\n got %s\nwant %s", what, show(got), show(want))
	}
}

// Contains fails the test unless want is a part of got. what names the text.
func Contains(t testing.TB, what, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) {
		t.Errorf("%s: no %q in %s", what, want, show(got))
	}
}

// Error fails the test unless the text of err is like want. what names what returned it. An empty want is no error.
func Error(t testing.TB, what string, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	Like(t, what, got, want)
}

// ErrorIs fails the test unless err is want. what names what returned it.
func ErrorIs(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s:\n got %v\nwant %v", what, err, want)
	}
}

// show returns a value for people: a text of several lines as it is.
func show(value any) string {
	switch typed := value.(type) {
	case string:
		if strings.Contains(typed, "\n") {
			return "\n" + typed
		}
		return fmt.Sprintf("%q", typed)
	case []string:
		return fmt.Sprintf("%q", typed)
	}
	return fmt.Sprintf("%+v", value)
}
