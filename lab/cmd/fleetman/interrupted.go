package main

import (
	"context"
	"errors"
)

// interruptedError is the error of a command that Ctrl-C or SIGTERM ended
// before it was done.
type interruptedError struct {
	left string // the results that are kept, and how to continue; empty: none
}

func (e interruptedError) Error() string {
	if e.left == "" {
		return "interrupted"
	}
	return "interrupted: " + e.left
}

// finalError is an error that is not a consequence of Ctrl-C, and is reported
// after it too.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// interrupted returns err, or an interruptedError when the context was
// cancelled: every other error is then a consequence of that.
func interrupted(ctx context.Context, err error, left func() string) error {
	_, already := errors.AsType[interruptedError](err)
	_, final := errors.AsType[finalError](err)
	if err == nil || !errors.Is(ctx.Err(), context.Canceled) || already || final {
		return err
	}
	if left == nil {
		return interruptedError{}
	}
	return interruptedError{left()}
}
