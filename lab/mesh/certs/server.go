package certs

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	secretservice "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"google.golang.org/grpc"
)

// DefaultLifetime is a certificate's, as in Istio.
const DefaultLifetime = 24 * time.Hour

// Options say how a server signs.
type Options struct {
	Domain   string        // Domain when empty
	Lifetime time.Duration // DefaultLifetime when 0; renewed after half of it
	Log      *slog.Logger  // what was refused, and by whom; nil discards it
}

// Server is one certificate service for all proxies of a mesh.
type Server struct {
	secretservice.UnimplementedSecretDiscoveryServiceServer

	authority *Authority
	lifetime  time.Duration
	log       *slog.Logger

	mu    sync.Mutex
	nodes map[string]Identity // by node ID
	// refusals are what proxies did not take, and what they were not given.
	refusals []string
}

// mostRefusals bounds what is kept of them.
const mostRefusals = 100

// NewServer makes a server with an authority of its own, which knows nobody.
func NewServer(o Options) (*Server, error) {
	if o.Domain == "" {
		o.Domain = Domain
	}
	if o.Lifetime == 0 {
		o.Lifetime = DefaultLifetime
	}
	if o.Lifetime < time.Second {
		return nil, fmt.Errorf("certificates that last %s; a second at least is expected", o.Lifetime)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	authority, err := NewAuthority(o.Domain)
	if err != nil {
		return nil, err
	}
	return &Server{authority: authority, lifetime: o.Lifetime, log: o.Log, nodes: map[string]Identity{}}, nil
}

// Authority signs what the server hands out.
func (s *Server) Authority() *Authority { return s.authority }

// Allow lets the proxy of that node ID have the identity's certificates, and no
// other's. It takes the place of what was allowed before.
func (s *Server) Allow(nodeID string, id Identity) error {
	if err := id.check(); err != nil {
		return fmt.Errorf("node %s: %w", nodeID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[nodeID] = id
	return nil
}

// Forget takes that back: what the node has holds until it expires and is not
// renewed.
func (s *Server) Forget(nodeID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.nodes, nodeID)
}

// Refusals are the last secrets that proxies did not accept, and requests that
// were refused, one line each.
func (s *Server) Refusals() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.refusals)
}

func (s *Server) refused(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	s.log.Warn("certificate refused", "why", line)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals = append(s.refusals, line)
	if len(s.refusals) > mostRefusals {
		s.refusals = s.refusals[1:]
	}
}

func (s *Server) identity(nodeID string) (id Identity, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, known = s.nodes[nodeID]
	return id, known
}

// Serve answers proxies at the listener until the context ends. The listener is
// a Unix socket that only this user can reach: whoever reaches it gets the keys,
// for a node's ID is no secret.
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
