package observe

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
)

// Reason returns why a call got no answer. An error with a method Reason() string says it itself; of others it is a few
// words without an address, because it is a label of metrics and may be sent to callers.
func Reason(err error) string {
	var dns *net.DNSError
	var timeout net.Error
	var reasoned interface{ Reason() string }
	switch {
	case errors.As(err, &reasoned):
		return reasoned.Reason()
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
