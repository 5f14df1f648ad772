package mesh

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"fleetman.example/lab/mesh/certs"
	"fleetman.example/lab/mesh/kube"
)

// serveSecure opens istiod's port for TLS, 15012 on a cluster: istioctl
// proxy-status goes there. What comes out of it goes to istiod's plain port, for
// the istiod of this mesh has no certificate of its own.
func (m *Mesh) serveSecure() (netip.AddrPort, error) {
	issued, err := m.certs.Authority().Issue(certs.Identity{Namespace: kube.RootNamespace, ServiceAccount: "istiod"}, 10*365*24*time.Hour)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("istiod's port for TLS: %w", err)
	}
	pair, err := tls.X509KeyPair(issued.Chain, issued.Key)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("istiod's port for TLS: %w", err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("istiod's port for TLS: %w", err)
	}
	m.closers = append(m.closers, func() { listener.Close() })
	m.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			m.running.Go(func() { pipe(m.stopping, conn, m.istiod.grpc.String()) })
		}
	})
	return listener.Addr().(*net.TCPAddr).AddrPort(), nil
}

// pipe copies both ways until one side ends, or the context.
func pipe(ctx context.Context, client net.Conn, to string) {
	defer client.Close()
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { client.Close(); server.Close() })()
	var both sync.WaitGroup
	for _, direction := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			_, _ = io.Copy(direction[0], direction[1])
			direction[0].Close()
			direction[1].Close()
		})
	}
	both.Wait()
}
