package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFailureLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := newFailureLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			},
		})), 10*time.Second)
		for range 250 { // ten per second
			log.add(t.Context(), "report failed", slog.String("vehicle", "A"))
			time.Sleep(100 * time.Millisecond)
		}
		log.end(t.Context())
		log.end(t.Context())
		want := `level=WARN msg="report failed" vehicle=A suppressed=0
level=WARN msg="report failed" vehicle=A suppressed=99
level=WARN msg="report failed" vehicle=A suppressed=99
level=WARN msg="more reports failed" suppressed=49
`
		if got := out.String(); got != want {
			t.Errorf("got\n%swant\n%s", got, strings.TrimSpace(want))
		}
	})
}
