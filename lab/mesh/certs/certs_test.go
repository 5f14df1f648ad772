package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secretservice "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

var (
	tracker = Identity{"default", "fleetman-position-tracker"}
	staff   = Identity{"default", "fleetman-staff-service"}
)

func newServer(t *testing.T, lifetime time.Duration) *Server {
	t.Helper()
	server, err := NewServer(lifetime)
	require.NoError(t, err)
	for node, id := range map[string]Identity{"tracker-0": tracker, "staff-0": staff} {
		require.NoError(t, server.Allow(node, id))
	}
	return server
}

func ask(node string, id Identity, names ...string) *discovery.DiscoveryRequest {
	return &discovery.DiscoveryRequest{
		TypeUrl: secretType, ResourceNames: names,
		Node: &core.Node{Id: node, Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
			"NAMESPACE": structpb.NewStringValue(id.Namespace), "SERVICE_ACCOUNT": structpb.NewStringValue(id.ServiceAccount),
		}}},
	}
}

func secrets(t *testing.T, answer *discovery.DiscoveryResponse) map[string]*tlsv3.Secret {
	t.Helper()
	found := map[string]*tlsv3.Secret{}
	for _, packed := range answer.Resources {
		secret := new(tlsv3.Secret)
		require.NoError(t, packed.UnmarshalTo(secret))
		found[secret.Name] = secret
	}
	return found
}

// serve runs the server and returns a client of it.
func serve(t *testing.T, server *Server) secretservice.SecretDiscoveryServiceClient {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() {
		conn.Close()
		cancel()
		assert.NoError(t, <-served, "Serve")
	})
	return secretservice.NewSecretDiscoveryServiceClient(conn)
}

// fetch requests both secrets over gRPC, as a proxy does.
func fetch(t *testing.T, client secretservice.SecretDiscoveryServiceClient, node string, id Identity) (tls.Certificate, *x509.CertPool, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	stream, err := client.StreamSecrets(ctx)
	require.NoError(t, err)
	require.NoError(t, stream.Send(ask(node, id, workloadSecret, rootSecret)))
	answer, err := stream.Recv()
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	got := secrets(t, answer)
	own := got[workloadSecret].GetTlsCertificate()
	pair, err := tls.X509KeyPair(own.GetCertificateChain().GetInlineBytes(), own.GetPrivateKey().GetInlineBytes())
	require.NoError(t, err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(got[rootSecret].GetValidationContext().GetTrustedCa().GetInlineBytes()) {
		t.Fatal("ROOTCA has no certificate")
	}
	return pair, pool, nil
}

// peer verifies, as Envoy does, that the peer's certificate is of the pool's authority and has the SPIFFE
// ID.
func peer(pool *x509.CertPool, want Identity) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("no certificate")
		}
		leaf := state.PeerCertificates[0]
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			return err
		}
		for _, name := range leaf.URIs {
			if name.String() == want.URI().String() {
				return nil
			}
		}
		return errors.New("wrong name " + leaf.URIs[0].String())
	}
}

// issue returns a new certificate of an authority.
func issue(t *testing.T, authority *Authority, id Identity, lifetime time.Duration) []tls.Certificate {
	t.Helper()
	issued, err := authority.Issue(id, lifetime)
	require.NoError(t, err)
	pair, err := tls.X509KeyPair(issued.Chain, issued.Key)
	require.NoError(t, err)
	return []tls.Certificate{pair}
}

// Two proxies accept each other by the secrets that they get. TestARealEnvoyTakesTheMeshsOwnAndNobodyElse has those that
// are not accepted.
func TestHandshake(t *testing.T) {
	client := serve(t, newServer(t, Lifetime))
	staffCert, pool, err := fetch(t, client, "staff-0", staff)
	require.NoError(t, err)
	trackerCert, _, err := fetch(t, client, "tracker-0", tracker)
	require.NoError(t, err)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{staffCert}, ClientAuth: tls.RequireAnyClientCert, VerifyConnection: peer(pool, tracker),
	})
	require.NoError(t, err)
	defer listener.Close()
	served := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_, err = io.WriteString(conn, "hello")
			conn.Close()
		}
		served <- err
	}()
	conn, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{
		Certificates: []tls.Certificate{trackerCert}, InsecureSkipVerify: true, VerifyConnection: peer(pool, staff),
	})
	require.NoError(t, err)
	defer conn.Close()
	text, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.NoError(t, <-served)
	assert.Equal(t, "hello", string(text))
}

func TestStrangersGetNothing(t *testing.T) {
	server := newServer(t, Lifetime)
	refused := make(chan string, 1)
	server.Refused = func(line string) { refused <- line }
	client := serve(t, server)
	tests := []struct {
		name, node string
		id         Identity
		refusal    string
	}{
		{"an unknown node", "gateway-0", tracker, `node: "gateway-0": must be a node of this mesh`},
		{"no node", "", tracker, `node: "": must be a node of this mesh`},
		{"another's identity", "tracker-0", staff, "node tracker-0: identity: {Namespace:default ServiceAccount:fleetman-staff-service}"},
		{"another namespace", "tracker-0", Identity{"prod", tracker.ServiceAccount}, "identity: {Namespace:prod"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := fetch(t, client, test.node, test.id)
			assert.Equal(t, codes.PermissionDenied, grpcstatus.Code(err), "%v", err)
			assert.Contains(t, <-refused, test.refusal)
		})
	}
	server.Forget("tracker-0")
	_, _, err := fetch(t, client, "tracker-0", tracker)
	assert.Equal(t, codes.PermissionDenied, grpcstatus.Code(err), "a forgotten node: %v", err)
	assert.Contains(t, <-refused, `node: "tracker-0": must be a node of this mesh`)
}

func TestAllowRefuses(t *testing.T) {
	server := newServer(t, Lifetime)
	for _, id := range []Identity{{}, {"default", ""}, {"default", "a/../b"}, {"a b", "c"}} {
		assert.ErrorContains(t, server.Allow("x", id), "node x: identity", "%+v", id)
	}
}

func leaf(t *testing.T, secret *tlsv3.Secret) *x509.Certificate {
	t.Helper()
	data, rest := pem.Decode(secret.GetTlsCertificate().GetCertificateChain().GetInlineBytes())
	require.NotNil(t, data, "a certificate")
	require.Empty(t, rest, "further certificates")
	certificate, err := x509.ParseCertificate(data.Bytes)
	require.NoError(t, err)
	return certificate
}

// pipe is a stream without a network, so that it works in a bubble of testing/synctest.
type pipe struct {
	grpc.ServerStream
	ctx     context.Context
	in      chan *discovery.DiscoveryRequest
	answers chan *discovery.DiscoveryResponse
}

func (p *pipe) Context() context.Context { return p.ctx }

func (p *pipe) Send(answer *discovery.DiscoveryResponse) error {
	p.answers <- answer
	return nil
}

func (p *pipe) Recv() (*discovery.DiscoveryRequest, error) {
	select {
	case request := <-p.in:
		return request, nil
	case <-p.ctx.Done():
		return nil, p.ctx.Err()
	}
}

func open(t *testing.T, server *Server) (*pipe, chan error) {
	ctx, cancel := context.WithCancel(t.Context())
	p := &pipe{ctx: ctx, in: make(chan *discovery.DiscoveryRequest), answers: make(chan *discovery.DiscoveryResponse, 100)}
	done := make(chan error, 1)
	go func() { done <- server.StreamSecrets(p) }()
	t.Cleanup(cancel)
	return p, done
}

func accept(request *discovery.DiscoveryRequest, answer *discovery.DiscoveryResponse) *discovery.DiscoveryRequest {
	return &discovery.DiscoveryRequest{
		TypeUrl: secretType, ResourceNames: request.ResourceNames, VersionInfo: answer.VersionInfo, ResponseNonce: answer.Nonce,
	}
}

func refuse(request *discovery.DiscoveryRequest, answer *discovery.DiscoveryResponse) *discovery.DiscoveryRequest {
	nack := accept(request, answer)
	nack.ErrorDetail = &status.Status{Message: "key does not match"}
	return nack
}
