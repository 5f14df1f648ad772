package certs

import (
	"slices"
	"strconv"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secretservice "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

// The names of the secrets in the configuration that istiod sends.
const (
	workloadSecret = "default"
	rootSecret     = "ROOTCA"
	systemSecret   = "file-root:system" // public authorities, for a DestinationRule with tls.mode SIMPLE
)

const secretType = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

// subscription is one stream of one proxy.
type subscription struct {
	server   *Server
	stream   secretservice.SecretDiscoveryService_StreamSecretsServer
	node     string
	identity Identity
	names    []string
	sent     int // number of responses; nonce and version of the last one
	renewal  <-chan time.Time
}

// StreamSecrets sends the requested secrets, and new ones after half of their lifetime. A node that is
// not allowed gets PermissionDenied.
func (s *Server) StreamSecrets(stream secretservice.SecretDiscoveryService_StreamSecretsServer) error {
	sub := &subscription{server: s, stream: stream}
	requests, failed := make(chan *discovery.DiscoveryRequest), make(chan error, 1)
	go func() {
		for {
			request, err := stream.Recv()
			if err != nil {
				failed <- err
				return
			}
			select {
			case requests <- request:
			case <-stream.Context().Done():
				return
			}
		}
	}()
	for {
		var err error
		select {
		case request := <-requests:
			err = sub.take(request)
		case <-sub.renewal:
			err = sub.send()
		case <-failed:
			return nil // the proxy has disconnected
		case <-stream.Context().Done():
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (sub *subscription) take(request *discovery.DiscoveryRequest) error {
	if sub.node == "" {
		if err := sub.introduce(request.GetNode()); err != nil {
			return err
		}
	}
	if request.GetTypeUrl() != secretType && request.GetTypeUrl() != "" {
		return status.Errorf(codes.InvalidArgument, "type_url: %q: must be %s", request.GetTypeUrl(), secretType)
	}
	if detail := request.GetErrorDetail(); detail != nil {
		// It is not sent again: the proxy would reject it again.
		sub.server.refuse("%s rejected the secrets %v: %s", sub.node, sub.names, detail.GetMessage())
		return nil
	}
	nonce := request.GetResponseNonce()
	if nonce != "" && nonce != strconv.Itoa(sub.sent) {
		return nil // about an earlier response
	}
	if nonce != "" && slices.Equal(request.GetResourceNames(), sub.names) {
		return nil // accepted
	}
	sub.names = request.GetResourceNames()
	return sub.send()
}

// introduce identifies the node of the first request. The identity in its metadata must be the one that
// is allowed for its ID.
func (sub *subscription) introduce(node *core.Node) error {
	id, known := sub.server.identity(node.GetId())
	if !known {
		sub.server.refuse("node: %q: must be a node of this mesh", node.GetId())
		return status.Errorf(codes.PermissionDenied, "node: %q: must be a node of this mesh", node.GetId())
	}
	metadata := node.GetMetadata().GetFields()
	claimed := Identity{metadata["NAMESPACE"].GetStringValue(), metadata["SERVICE_ACCOUNT"].GetStringValue()}
	if claimed != id {
		sub.server.refuse("node %s: identity: %+v: must be %+v", node.GetId(), claimed, id)
		return status.Errorf(codes.PermissionDenied, "node %s: identity: namespace %q, service account %q: must be those of its pod", node.GetId(), claimed.Namespace, claimed.ServiceAccount)
	}
	sub.node, sub.identity = node.GetId(), id
	return nil
}

func (sub *subscription) send() error {
	if id, known := sub.server.identity(sub.node); !known || id != sub.identity {
		return status.Errorf(codes.PermissionDenied, "node: %s: is no longer a node of this mesh", sub.node)
	}
	response := &discovery.DiscoveryResponse{TypeUrl: secretType}
	for _, name := range sub.names {
		secret, err := sub.secret(name)
		if err != nil {
			return err
		}
		packed, err := anypb.New(secret)
		if err != nil {
			return status.Errorf(codes.Internal, "secret %s: %v", name, err)
		}
		response.Resources = append(response.Resources, packed)
	}
	sub.sent++
	response.VersionInfo = strconv.Itoa(sub.sent)
	response.Nonce = response.VersionInfo
	if slices.Contains(sub.names, workloadSecret) {
		sub.renewal = time.After(sub.server.lifetime / 2)
	}
	return sub.stream.Send(response)
}

func (sub *subscription) secret(name string) (*tls.Secret, error) {
	switch name {
	case workloadSecret:
		certificate, err := sub.server.authority.Issue(sub.identity, sub.server.lifetime)
		if err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
		return &tls.Secret{Name: name, Type: &tls.Secret_TlsCertificate{TlsCertificate: &tls.TlsCertificate{
			CertificateChain: inline(certificate.Chain), PrivateKey: inline(certificate.Key),
		}}}, nil
	case rootSecret:
		return &tls.Secret{Name: name, Type: &tls.Secret_ValidationContext{ValidationContext: &tls.CertificateValidationContext{
			TrustedCa: inline(sub.server.authority.Root()),
		}}}, nil
	case systemSecret:
		if sub.server.systemRoots == "" {
			sub.server.refuse("%s: secret: %s: no file of this machine's root certificates: set SSL_CERT_FILE", sub.node, name)
			return nil, status.Errorf(codes.NotFound, "secret: %s: no file of this machine's root certificates", name)
		}
		return &tls.Secret{Name: name, Type: &tls.Secret_ValidationContext{ValidationContext: &tls.CertificateValidationContext{
			TrustedCa: &core.DataSource{Specifier: &core.DataSource_Filename{Filename: sub.server.systemRoots}},
		}}}, nil
	}
	sub.server.refuse("%s: secret: %q: must be %s, %s or %s", sub.node, name, workloadSecret, rootSecret, systemSecret)
	return nil, status.Errorf(codes.NotFound, "secret: %q: must be %s, %s or %s", name, workloadSecret, rootSecret, systemSecret)
}

func inline(data []byte) *core.DataSource {
	return &core.DataSource{Specifier: &core.DataSource_InlineBytes{InlineBytes: data}}
}
