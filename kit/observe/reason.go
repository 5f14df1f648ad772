package observe

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
)

// Reason returns in a few words, without an address, why a call got no answer: it labels metrics and
// may be shown to a caller. An error with a method Reason() string words it itself.
func Reason(err error) string {
	var dns *net.DNSError
	var timeout net.Error
	var told interface{ Reason() string }
	switch {
	case errors.As(err, &told):
		return told.Reason()
	case errors.Is(err, context.Canceled):
		return "caller gone"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &dns):
		return "name not found"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	}
	return "no answer"
}
