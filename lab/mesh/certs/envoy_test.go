package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/mesh/meshtest"
)

// A listener as istiod configures it for STRICT mutual TLS, with the secrets of this package's server.
const meshed = `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
node: {id: staff-0, cluster: staff, metadata: {NAMESPACE: default, SERVICE_ACCOUNT: fleetman-staff-service}}
static_resources:
  clusters:
  - name: sds-grpc
    type: STATIC
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment:
      cluster_name: sds-grpc
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: PORTNUMBER}}}}]}]
  listeners:
  - name: inbound
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: true
          common_tls_context:
            tls_certificate_sds_secret_configs: [{name: default, sds_config: SDS}]
            combined_validation_context:
              default_validation_context:
                match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: spiffe://cluster.local/ns/default/sa/fleetman-position-tracker}}]
              validation_context_sds_secret_config: {name: ROOTCA, sds_config: SDS}
      filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: inbound
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: hello}}}]}]}
          http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
`

const sdsConfig = `{api_config_source: {api_type: GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: sds-grpc}}]}, resource_api_version: V3, initial_fetch_timeout: 0s}`

// call sends a request over TLS to the listener and returns the server's certificate.
func call(address string, pool *x509.CertPool, present []tls.Certificate) (*x509.Certificate, error) {
	dialer := &net.Dialer{Timeout: time.Minute}
	conn, err := tls.DialWithDialer(dialer, "tcp", address, &tls.Config{Certificates: present, InsecureSkipVerify: true, VerifyConnection: peer(pool, staff)})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(conn)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(string(answer), "HTTP/1.1 200 OK") || !strings.HasSuffix(string(answer), "hello") {
		return nil, fmt.Errorf("response %q", answer)
	}
	return conn.ConnectionState().PeerCertificates[0], nil
}

func TestARealEnvoyTakesTheMeshsOwnAndNobodyElse(t *testing.T) {
	// It is renewed after half of its lifetime, so a busy machine has 6 s for that.
	server := newServer(t, Options{Lifetime: 12 * time.Second})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _ = server.Serve(ctx, listener) }()
	config := filepath.Join(t.TempDir(), "envoy.yaml")
	text := strings.NewReplacer("PORTNUMBER", strconv.Itoa(listener.Addr().(*net.TCPAddr).Port), ": SDS", ": "+sdsConfig).Replace(meshed)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	address := meshtest.StartEnvoy(t, envoy.Args(config, 1)...).Listener

	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(server.Authority().Root())
	issue := func(authority *Authority, id Identity, lifetime time.Duration) []tls.Certificate {
		issued, err := authority.Issue(id, lifetime)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(issued.Chain, issued.Key)
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{pair}
	}
	foreign, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	own := issue(server.Authority(), tracker, time.Hour)
	first, err := call(address, pool, own)
	if err != nil {
		t.Fatalf("the mesh's own: %v", err)
	}
	for _, test := range []struct {
		name    string
		present []tls.Certificate
		want    string
	}{
		{"foreign authority", issue(foreign, tracker, time.Hour), "unknown certificate authority"},
		{"wrong name", issue(server.Authority(), staff, time.Hour), "certificate"},
		{"expired", issue(server.Authority(), tracker, -time.Second), "expired"},
		{"none", nil, "certificate required"},
	} {
		if _, err := call(address, pool, test.present); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: want an error with %q, got %v", test.name, test.want, err)
		}
	}
	meshtest.Await(t, "a new certificate", func() error {
		now, err := call(address, pool, own)
		if err != nil {
			t.Fatalf("while certificates change: %v", err)
		}
		if now.SerialNumber.Cmp(first.SerialNumber) == 0 {
			return errors.New("it is not renewed")
		}
		return nil
	})
	if refusals := server.Refusals(); len(refusals) > 0 {
		t.Errorf("refusals %q", refusals)
	}
}
