// Package skip ends tests that lack a part of the system: elsewhere they skip, in CI, which brings
// every part, they fail.
package skip

import (
	"os"
	"testing"
)

// Without ends a test; why is one line that says what is missing and how to get it.
func Without(t testing.TB, why any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}
