package certs

import (
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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/mesh/meshtest"
)

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
	server := newServer(t, 12*time.Second)
	server.Refused = func(line string) { t.Error(line) }
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx := t.Context()
	go func() { _ = server.Serve(ctx, listener) }()
	config := filepath.Join(t.TempDir(), "envoy.yaml")
	template, err := os.ReadFile("testdata/strict.yaml")
	require.NoError(t, err)
	text := strings.ReplaceAll(string(template), "PORTNUMBER", strconv.Itoa(listener.Addr().(*net.TCPAddr).Port))
	require.NoError(t, os.WriteFile(config, []byte(text), 0o644))
	address := meshtest.StartEnvoy(t, envoy.Args(config, 1)...).Listener

	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(server.Authority().Root())
	foreign, err := NewAuthority()
	require.NoError(t, err)
	own := issue(t, server.Authority(), tracker, time.Hour)
	first, err := call(address, pool, own)
	require.NoError(t, err, "the mesh's own")
	for _, test := range []struct {
		name    string
		present []tls.Certificate
		want    string
	}{
		{"foreign authority", issue(t, foreign, tracker, time.Hour), "unknown certificate authority"},
		{"wrong name", issue(t, server.Authority(), staff, time.Hour), "certificate"},
		{"expired", issue(t, server.Authority(), tracker, -time.Second), "expired"},
		{"none", nil, "certificate required"},
	} {
		_, err := call(address, pool, test.present)
		assert.ErrorContains(t, err, test.want, test.name)
	}
	meshtest.Await(t, "a new certificate", func() error {
		now, err := call(address, pool, own)
		require.NoError(t, err, "while certificates change")
		if now.SerialNumber.Cmp(first.SerialNumber) == 0 {
			return errors.New("it is not renewed")
		}
		return nil
	})
}
