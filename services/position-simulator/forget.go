package main

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"fleetman.example/kit/upstream"
)

// Waits between two tries to reach a tracker that is not there yet.
const (
	firstWait = 100 * time.Millisecond
	longWait  = 5 * time.Second
)

// forget has the tracker forget every vehicle, trying until it answers or ctx
// is done. A refusal is an answer: it is logged and the fleet drives all the
// same.
func forget(ctx context.Context, log *slog.Logger, rng *rand.Rand, do func(ctx context.Context, method, path string, body []byte) (*upstream.Response, error)) error {
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		answer, err := do(ctx, http.MethodDelete, "/vehicles/", nil)
		if err == nil {
			if answer.Status >= 300 {
				log.WarnContext(ctx, "the tracker refused to forget its vehicles", "status", answer.Status, "answer", excerpt(answer.Body))
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		pause := wait/2 + time.Duration(rng.Int64N(int64(wait))) // so that simulators started together do not try together
		log.WarnContext(ctx, "the tracker does not answer yet", "error", err, "wait", pause)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
