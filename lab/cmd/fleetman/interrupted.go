package main

import (
	"context"
	"errors"
)

// interruptedError is the error of a command that Ctrl-C or SIGTERM ended
// before it was done.
type interruptedError struct {
	left string // what there is of its work, and how to go on; empty: nothing
}

func (e interruptedError) Error() string {
	if e.left == "" {
		return "interrupted"
	}
	return "interrupted: " + e.left
}

// finalError is an error that stays when a command was ended by Ctrl-C: it is
// not a consequence of the interruption.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// interrupted returns err, or, when the context was cancelled, an
// interruptedError: what fails then, in whatever words, fails because of it.
func interrupted(ctx context.Context, err error, left func() string) error {
	var already interruptedError
	var final finalError
	if err == nil || !errors.Is(ctx.Err(), context.Canceled) || errors.As(err, &already) || errors.As(err, &final) {
		return err
	}
	if left == nil {
		return interruptedError{}
	}
	return interruptedError{left()}
}
