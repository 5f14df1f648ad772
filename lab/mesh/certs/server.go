package certs

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	secretservice "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"google.golang.org/grpc"
)

// Lifetime is Istio's default lifetime of a certificate.
const Lifetime = 24 * time.Hour

// Server is the certificate service of a mesh's proxies.
type Server struct {
	secretservice.UnimplementedSecretDiscoveryServiceServer
	// Refused is called with a line about each secret that a proxy rejected, and each request that the server
	// rejected. Set it before Serve.
	Refused func(line string)

	authority   *Authority
	lifetime    time.Duration
	systemRoots string // "" if this machine has none

	mu    sync.Mutex
	nodes map[string]Identity // by node ID
}

// NewServer returns a server with a new authority. A certificate is valid for the given time, and renewed after half of
// that. No node is allowed yet.
func NewServer(lifetime time.Duration) (*Server, error) {
	authority, err := NewAuthority()
	if err != nil {
		return nil, err
	}
	return &Server{authority: authority, lifetime: lifetime, systemRoots: systemRoots(), nodes: map[string]Identity{}, Refused: func(string) {}}, nil
}

// systemRoots returns the file of this machine's root certificates, "" if there is none. The files are
// those of crypto/x509 and of Istio's agent.
func systemRoots() string {
	for _, file := range []string{
		os.Getenv("SSL_CERT_FILE"),
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Arch
		"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora
		"/etc/ssl/ca-bundle.pem",                            // openSUSE
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL
		"/etc/ssl/cert.pem",                                 // Alpine, macOS
	} {
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			return file
		}
	}
	return ""
}

// Authority returns the server's authority.
func (s *Server) Authority() *Authority { return s.authority }

// Allow gives a node, by its ID, the certificates of an identity. It replaces the node's earlier
// identity.
func (s *Server) Allow(nodeID string, id Identity) error {
	if err := id.check(); err != nil {
		return fmt.Errorf("node %s: %w", nodeID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[nodeID] = id
	return nil
}

// Forget undoes Allow. The node's current certificate stays valid until it expires, but is not renewed.
func (s *Server) Forget(nodeID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.nodes, nodeID)
}

func (s *Server) refuse(format string, args ...any) { s.Refused(fmt.Sprintf(format, args...)) }

func (s *Server) identity(nodeID string) (id Identity, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, known = s.nodes[nodeID]
	return id, known
}

// Serve serves proxies at the listener until the context ends. The listener must be a Unix socket that
// only this user can connect to: a node's ID is no secret, so everyone who connects can get its key.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := grpc.NewServer()
	secretservice.RegisterSecretDiscoveryServiceServer(server, s)
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("certificate service at %s: %w", listener.Addr(), err)
	}
	return nil
}
