package kube

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// portForwardProtocol is the protocol over SPDY. kubectl and istioctl try a WebSocket first and fall
// back to it.
const portForwardProtocol = "portforward.k8s.io"

// Forward returns the address on this machine of a pod's port, or nil when the pod has no such port.
type Forward func(namespace, pod string, port int) net.Addr

// portForward forwards connections to a pod's ports, as the kubelet does.
func (s *Server) portForward(w http.ResponseWriter, r *http.Request, namespace, pod string) error {
	if s.get(KindOf("v1", "Pod"), namespace, pod) == nil {
		return failure(http.StatusNotFound, metav1.StatusReasonNotFound, "pods %q not found", pod)
	}
	if _, err := httpstream.Handshake(r, w, []string{portForwardProtocol}); err != nil {
		return failure(http.StatusBadRequest, metav1.StatusReasonBadRequest, "port-forward: %v", err)
	}
	streams := make(chan httpstream.Stream)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(stream httpstream.Stream, _ <-chan struct{}) error {
		select {
		case streams <- stream:
			return nil
		case <-r.Context().Done():
			return r.Context().Err()
		}
	})
	if conn == nil {
		return nil // UpgradeResponse has responded
	}
	defer conn.Close()
	var passing sync.WaitGroup
	defer passing.Wait()
	errors := map[string]httpstream.Stream{} // by request ID, until the request's data stream arrives
	for {
		select {
		case <-conn.CloseChan():
			return nil
		case <-r.Context().Done():
			conn.Close()
			return nil
		case stream := <-streams:
			id := stream.Headers().Get(corev1.PortForwardRequestIDHeader)
			if stream.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
				errors[id] = stream
				continue
			}
			errorStream := errors[id]
			delete(errors, id)
			passing.Go(func() { s.pass(stream, errorStream, namespace, pod) })
		}
	}
}

// pass connects a stream to a pod's port and copies both ways until both sides end.
func (s *Server) pass(stream, errorStream httpstream.Stream, namespace, pod string) {
	defer stream.Close()
	fail := func(err error) {
		if errorStream != nil {
			_, _ = io.WriteString(errorStream, err.Error())
		}
	}
	if errorStream != nil {
		defer errorStream.Close()
	}
	port, err := strconv.Atoi(stream.Headers().Get(corev1.PortHeader))
	if err != nil {
		fail(fmt.Errorf("port: %.20q: must be a number", stream.Headers().Get(corev1.PortHeader)))
		return
	}
	address := s.Forward(namespace, pod, port)
	if address == nil {
		fail(fmt.Errorf("pod %s/%s has no port %d", namespace, pod, port))
		return
	}
	conn, err := net.Dial(address.Network(), address.String())
	if err != nil {
		fail(err)
		return
	}
	defer conn.Close()
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(conn, stream); closeWrite(conn) })
	both.Go(func() { _, _ = io.Copy(stream, conn); _ = stream.Close() })
	both.Wait()
}

func closeWrite(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
