package kube

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// portForwardProtocol is the one that kubectl and istioctl speak over SPDY;
// what they try first, over a WebSocket, they give up for it.
const portForwardProtocol = "portforward.k8s.io"

// Forward leads a port of a pod to an address of this machine, nil when the pod
// has no such port.
type Forward func(namespace, pod string, port int) net.Addr

// portForward passes connections on to a pod's ports, as kubelet does.
func (s *Server) portForward(w http.ResponseWriter, r *http.Request, namespace, pod string) error {
	if s.get(KindOf("v1", "Pod"), namespace, pod) == nil {
		return failure{http.StatusNotFound, "NotFound", fmt.Sprintf("pods %q not found", pod)}
	}
	if _, err := httpstream.Handshake(r, w, []string{portForwardProtocol}); err != nil {
		return failure{http.StatusBadRequest, "BadRequest", fmt.Sprintf("port-forward: %v", err)}
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
		return nil // it has answered
	}
	defer conn.Close()
	var passing sync.WaitGroup
	defer passing.Wait()
	errors := map[string]httpstream.Stream{} // by request, until its data stream comes
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
			complain := errors[id]
			delete(errors, id)
			passing.Go(func() { s.pass(stream, complain, namespace, pod) })
		}
	}
}

// pass copies both ways until either side ends.
func (s *Server) pass(stream, complain httpstream.Stream, namespace, pod string) {
	defer stream.Close()
	fail := func(err error) {
		if complain != nil {
			_, _ = io.WriteString(complain, err.Error())
		}
	}
	if complain != nil {
		defer complain.Close()
	}
	port, err := strconv.Atoi(stream.Headers().Get(corev1.PortHeader))
	if err != nil {
		fail(fmt.Errorf("port %.20q: a number is expected", stream.Headers().Get(corev1.PortHeader)))
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
	ended := make(chan struct{}, 2)
	go func() { _, _ = io.Copy(conn, stream); closeWrite(conn); ended <- struct{}{} }()
	go func() { _, _ = io.Copy(stream, conn); _ = stream.Close(); ended <- struct{}{} }()
	<-ended
	<-ended
}

func closeWrite(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// forwarded reads /api/v1/namespaces/NAMESPACE/pods/POD/portforward.
func forwarded(path string) (namespace, pod string, ok bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) != 7 || strings.Join(parts[:3], "/") != "api/v1/namespaces" || parts[4] != "pods" || parts[6] != "portforward" {
		return "", "", false
	}
	return parts[3], parts[5], true
}
