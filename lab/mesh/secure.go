package mesh

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"sigs.k8s.io/yaml"

	"fleetman.example/lab/mesh/certs"
	"fleetman.example/lab/mesh/kube"
)

var loopback = net.IPv4(127, 0, 0, 1)

// certificate is for a server of the control plane on this machine.
func (m *Mesh) certificate(account string) (tls.Certificate, error) {
	issued, err := m.certs.Authority().Issue(certs.Identity{Namespace: kube.RootNamespace, ServiceAccount: account}, 10*365*24*time.Hour, loopback)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(issued.Chain, issued.Key)
}

// serveAPI opens the Kubernetes API. It has TLS because clients send their
// token over nothing else.
func (m *Mesh) serveAPI() (net.Addr, error) {
	pair, err := m.certificate("kube-apiserver")
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler: m.api.Handler(), ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return m.stopping },
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		ErrorLog:  log.New(io.Discard, "", 0), // of handshakes that clients gave up
	}
	m.running.Go(func() { _ = server.ServeTLS(listener, "", "") })
	m.closers = append(m.closers, func() { server.Close() })
	return listener.Addr(), nil
}

// kubeconfig leads istiod, kubectl and istioctl to the API; its token lets them in.
func (m *Mesh) kubeconfig(api string) []byte {
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "fleetman",
		"clusters": []any{map[string]any{"name": "fleetman", "cluster": map[string]any{
			"server": "https://" + api, "certificate-authority-data": base64.StdEncoding.EncodeToString(m.certs.Authority().Root()),
		}}},
		"contexts": []any{map[string]any{"name": "fleetman", "context": map[string]any{"cluster": "fleetman", "user": "fleetman"}}},
		"users":    []any{map[string]any{"name": "fleetman", "user": map[string]any{"token": m.api.Token}}},
	})
	if err != nil {
		panic(err) // maps of strings can always be written
	}
	return text
}

// serveSecure opens istiod's port for TLS, 15012 on a cluster: istioctl
// proxy-status goes there. What comes out of it goes to istiod's plain port, for
// the istiod of this mesh has no certificate of its own.
func (m *Mesh) serveSecure() (netip.AddrPort, error) {
	pair, err := m.certificate("istiod")
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
