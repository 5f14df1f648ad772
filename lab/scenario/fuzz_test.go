package scenario

import (
	"strings"
	"testing"
)

// FuzzDecode checks that Decode returns a valid file or an error of one line for every text. The files of
// the corpus are short, because minimizing an input takes the engine minutes for long ones.
func FuzzDecode(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Decode("expect.yaml", text)
		if err != nil {
			if got := err.Error(); !strings.HasPrefix(got, "expect.yaml:") || strings.ContainsAny(got, "\n\r") {
				t.Fatalf("error %q", got)
			}
			return
		}
		for _, p := range file.Promises {
			for _, c := range p.Checks {
				for _, e := range c.Expect {
					if e.Count == nil {
						continue
					}
					if low, high := e.Count.Range(c.Requests.Count); low < 0 || low > high {
						t.Fatalf("%q: from %d to %d of %d", p.Promise, low, high, c.Requests.Count)
					}
				}
			}
		}
	})
}
