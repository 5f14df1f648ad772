package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// failureLog logs at most one failure per period, with the number of failures suppressed since the
// previous one. Otherwise a fleet of thousands would log a line per vehicle and second.
type failureLog struct {
	log    *slog.Logger
	period time.Duration

	mu         sync.Mutex
	next       time.Time
	suppressed int
}

func newFailureLog(log *slog.Logger, period time.Duration) *failureLog {
	return &failureLog{log: log, period: period}
}

func (f *failureLog) add(ctx context.Context, what string, attrs ...slog.Attr) {
	f.mu.Lock()
	now := time.Now()
	if now.Before(f.next) {
		f.suppressed++
		f.mu.Unlock()
		return
	}
	suppressed := f.suppressed
	f.suppressed = 0
	f.next = now.Add(f.period)
	f.mu.Unlock()
	f.log.LogAttrs(ctx, slog.LevelWarn, what, append(attrs, slog.Int("suppressed", suppressed))...)
}

// end logs the number of failures suppressed since the last one, if any.
func (f *failureLog) end(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.suppressed > 0 {
		f.log.LogAttrs(ctx, slog.LevelWarn, "more reports failed", slog.Int("suppressed", f.suppressed))
		f.suppressed = 0
	}
}
