// Package skip ends tests whose requirements are missing. In CI, which has all requirements, they fail;
// elsewhere they are skipped.
package skip

import (
	"os"
	"testing"
)

// Without ends a test. why is one line with the missing requirement and how to get it.
func Without(t testing.TB, why any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}
