// Package trial repeats the measurements of tests.
package trial

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
)

// attempts is how often a measurement is made at most.
const attempts = 3

// T is a measurement's testing.TB. Its failures are those of the measurement: they are logged, and fail the test
// only after the last one. What it cleans up is cleaned up before the next one, and its context ends then.
type T struct {
	testing.TB
	ctx      context.Context //nolint:containedctx // Context returns it, as testing.T does
	failed   atomic.Bool     // other goroutines may fail it
	cleanups []func()
}

// Run makes a measurement up to three times, until one has no failure. It is for tests of times and of shares,
// which other load of the machine, or chance, can disturb. A defect fails all three.
func Run(t *testing.T, measure func(t *T)) {
	t.Helper()
	if !repeat(t, measure) {
		t.Errorf("all %d measurements failed", attempts)
	}
}

// repeat reports whether one of the measurements had no failure.
func repeat(t testing.TB, measure func(t *T)) bool {
	t.Helper()
	for n := 1; n <= attempts; n++ {
		if run(t, measure) {
			return true
		}
		t.Logf("measurement %d of at most %d failed", n, attempts)
	}
	return false
}

// run makes one measurement and reports whether it had no failure, or was skipped.
func run(tb testing.TB, measure func(t *T)) bool {
	ctx, cancel := context.WithCancel(tb.Context())
	t := &T{TB: tb, ctx: ctx}
	ended := make(chan struct{})
	go func() { // so that FailNow and Skip end it
		defer close(ended)
		defer t.cleanUp(cancel)
		measure(t)
	}()
	<-ended
	return !t.failed.Load()
}

func (t *T) cleanUp(cancel context.CancelFunc) {
	cancel()
	for _, f := range t.cleanups {
		defer f() // the last one first, and all, also when one ends the goroutine
	}
}

// Context implements testing.TB.
func (t *T) Context() context.Context { return t.ctx }

// Cleanup implements testing.TB.
func (t *T) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

// Failed implements testing.TB.
func (t *T) Failed() bool { return t.failed.Load() }

// Fail implements testing.TB.
func (t *T) Fail() { t.failed.Store(true) }

// FailNow implements testing.TB.
func (t *T) FailNow() {
	t.Fail()
	runtime.Goexit()
}

// Error implements testing.TB.
func (t *T) Error(args ...any) {
	t.Helper()
	t.Logf("failed: %s", fmt.Sprint(args...))
	t.Fail()
}

// Errorf implements testing.TB.
func (t *T) Errorf(format string, args ...any) {
	t.Helper()
	t.Error(fmt.Sprintf(format, args...))
}

// Fatal implements testing.TB.
func (t *T) Fatal(args ...any) {
	t.Helper()
	t.Error(args...)
	t.FailNow()
}

// Fatalf implements testing.TB.
func (t *T) Fatalf(format string, args ...any) {
	t.Helper()
	t.Fatal(fmt.Sprintf(format, args...))
}
