package observe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"fleetman.example/kit/observe"
)

type spoken struct{}

func (spoken) Error() string  { return "breaker of 10.0.0.1 open" }
func (spoken) Reason() string { return "breaker open" }

func TestReason(t *testing.T) {
	for want, errs := range map[string][]error{
		"caller gone":        {context.Canceled},
		"no answer in time":  {context.DeadlineExceeded, os.ErrDeadlineExceeded, &net.DNSError{IsTimeout: true}},
		"name not found":     {&net.DNSError{Name: "nowhere", IsNotFound: true}, &net.DNSError{Err: "server misbehaving"}},
		"connection refused": {&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}},
		"connection reset":   {syscall.ECONNRESET, syscall.EPIPE},
		"connection closed":  {io.EOF, io.ErrUnexpectedEOF},
		"breaker open":       {spoken{}},
		"no answer":          {errors.New("10.0.0.1: odd")},
	} {
		for _, err := range errs {
			for _, err := range []error{err, fmt.Errorf("dial tcp 10.0.0.1:8080: %w", err)} {
				if got := observe.Reason(err); got != want {
					t.Errorf("%v: got %q, want %q", err, got, want)
				}
			}
		}
	}
}
