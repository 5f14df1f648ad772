package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fleetman.example/kit/upstream"
)

func TestForget(t *testing.T) {
	away := &upstream.Error{Upstream: "position-tracker", Method: "DELETE", Path: "/vehicles/City%20Truck", Status: 503}
	for _, tc := range []struct {
		name     string
		failures int
		status   int
		tries    int
		log      string
	}{
		{"at once", 0, 200, 1, ""},
		{"after a while", 9, 200, 10, `"status 503 reading position-tracker DELETE /vehicles/City%20Truck"`},
		{"refused", 0, 404, 1, `msg="vehicle not forgotten" vehicle="City Truck" status=404 answer="no such path"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				var tries []time.Time
				do := func(_ context.Context, method, path string, body []byte) (*upstream.Response, error) {
					if method != http.MethodDelete || path != "/vehicles/City%20Truck" || body != nil {
						t.Errorf("called %s %s with %q", method, path, body)
					}
					tries = append(tries, time.Now())
					if len(tries) <= tc.failures {
						return nil, away
					}
					return &upstream.Response{Status: tc.status, Body: []byte("no such path")}, nil
				}
				if err := forget(t.Context(), newFailureLog(slog.New(slog.NewTextHandler(&log, nil)), time.Second), do, "City Truck"); err != nil {
					t.Fatal(err)
				}
				if len(tries) != tc.tries {
					t.Errorf("%d tries, want %d", len(tries), tc.tries)
				}
				for i := 1; i < len(tries); i++ {
					wait, mean := tries[i].Sub(tries[i-1]), min(firstWait<<(i-1), longWait)
					if wait < mean/2 || wait >= mean*3/2 {
						t.Errorf("wait %d was %v, want %v by half", i, wait, mean)
					}
				}
				if got := log.String(); (tc.log == "") != (got == "") || !strings.Contains(got, tc.log) {
					t.Errorf("log %s, want %s", got, tc.log)
				}
			})
		})
	}
}

func TestForgetStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		start := time.Now()
		var do doFunc = func(context.Context, string, string, []byte) (*upstream.Response, error) {
			return nil, errors.New("away")
		}
		err := forget(ctx, newFailureLog(slog.New(slog.DiscardHandler), time.Second), do, "A")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
