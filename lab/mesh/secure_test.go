package mesh

import (
	"errors"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
)

// listener returns its results of Accept one after the other, then net.ErrClosed.
type listener struct {
	net.Listener
	errs []error
}

func (l *listener) Accept() (net.Conn, error) {
	if len(l.errs) == 0 {
		return nil, &net.OpError{Op: "accept", Err: net.ErrClosed}
	}
	err := l.errs[0]
	l.errs = l.errs[1:]
	return nil, err
}

func TestAcceptContinuesAfterErrors(t *testing.T) {
	served := 0
	accept(t.Context(), &listener{errs: []error{nil, errors.New("too many open files"), nil}}, func(net.Conn) { served++ })
	assert.Equal(t, 2, served, "connections")
}
