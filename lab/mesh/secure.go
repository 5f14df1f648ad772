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
	"sync"
	"time"

	"sigs.k8s.io/yaml"

	"fleetman.example/lab/mesh/certs"
	"fleetman.example/lab/mesh/kube"
	"fleetman.example/lab/tcp"
)

var loopback = net.IPv4(127, 0, 0, 1)

// certificate issues a certificate, for 127.0.0.1, to a server of the control plane.
func (m *Mesh) certificate(account string) (tls.Certificate, error) {
	issued, err := m.certs.Authority().Issue(certs.Identity{Namespace: kube.RootNamespace, ServiceAccount: account}, 10*365*24*time.Hour, loopback)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(issued.Chain, issued.Key)
}

// serveAPI serves the Kubernetes API at a free port. It uses TLS because clients send their token
// only over TLS.
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
		ErrorLog:  log.New(io.Discard, "", 0), // it logs every handshake that a client aborts
	}
	m.running.Go(func() { _ = server.ServeTLS(listener, "", "") })
	m.closers = append(m.closers, func() { server.Close() })
	return listener.Addr(), nil
}

// kubeconfig returns the kubeconfig, with the API's address and token, for istiod, kubectl and istioctl.
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
		panic(err) // impossible for maps of strings
	}
	return text
}

// serveSecure serves, at a free port, what is istiod's TLS port 15012 on a cluster; istioctl proxy-status
// needs it. It terminates TLS and forwards to istiod's plaintext port, because istiod has no
// certificate here.
func (m *Mesh) serveSecure(i *istiod) error {
	pair, err := m.certificate("istiod")
	if err != nil {
		return fmt.Errorf("TLS port of %s: %w", i.name, err)
	}
	i.secure, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return fmt.Errorf("TLS port of %s: %w", i.name, err)
	}
	m.running.Go(func() {
		tcp.Accept(i.secure, func(conn net.Conn) {
			m.running.Go(func() { pipe(m.stopping, conn, i.grpc.String()) })
		})
	})
	return nil
}

// pipe connects a client to an address. It copies both ways until either side closes or ctx ends; then it closes
// both.
func pipe(ctx context.Context, client net.Conn, to string) {
	defer client.Close()
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
	if err != nil {
		return
	}
	closeBoth := func() { client.Close(); server.Close() }
	defer context.AfterFunc(ctx, closeBoth)()
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(client, server); closeBoth() })
	both.Go(func() { _, _ = io.Copy(server, client); closeBoth() })
	both.Wait()
}
