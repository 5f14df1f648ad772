// Package usage has the error of a wrong command line: a flag, or an argument that names what there is not.
package usage

import "fmt"

// Error is a mistake of who typed the command; fleetman's exit code is then 2.
type Error struct{ Err error }

// Errorf returns an Error with a formatted text.
func Errorf(format string, args ...any) error { return Error{fmt.Errorf(format, args...)} }

func (e Error) Error() string { return e.Err.Error() }

// Unwrap returns the mistake.
func (e Error) Unwrap() error { return e.Err }
