package main

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"fleetman.example/kit/upstream"
)

// Waits between attempts to reach the tracker.
const (
	firstWait = 100 * time.Millisecond
	longWait  = 5 * time.Second
)

type doFunc func(ctx context.Context, method, path string, body []byte) (*upstream.Response, error)

// forget deletes the tracker's history of a vehicle, left by an earlier run. It repeats the call until the
// tracker answers or ctx is done, and returns an error only in the latter case. It logs an answer of 300 or
// above.
func forget(ctx context.Context, failures *failureLog, do doFunc, vehicle string) error {
	path := upstream.Path("vehicles", vehicle)
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		answer, err := do(ctx, http.MethodDelete, path, nil)
		if err == nil {
			if answer.Status >= 300 {
				failures.add(ctx, "vehicle not forgotten", slog.String("vehicle", vehicle), slog.Int("status", answer.Status), slog.String("answer", excerpt(answer.Body)))
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		pause := wait/2 + rand.N(wait) // so that vehicles started together do not try together
		failures.add(ctx, "tracker does not answer yet", slog.String("vehicle", vehicle), slog.Any("error", err), slog.Duration("wait", pause))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
