package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"fleetman.example/kit/server/servertest"
)

// TestSelfSigned checks the certificate as a client verifies it.
func TestSelfSigned(t *testing.T) {
	config := servertest.Must(selfSigned("monitoring.example", time.Now()))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	server.TLS = config
	server.StartTLS()
	defer server.Close()
	known := x509.NewCertPool()
	known.AddCert(servertest.Must(x509.ParseCertificate(config.Certificates[0].Certificate[0])))
	get := func(host string, roots *x509.CertPool) (string, error) {
		client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{ServerName: host, RootCAs: roots}}}
		defer client.CloseIdleConnections()
		response, err := client.Get(server.URL)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return string(body), err
	}
	if body, err := get("monitoring.example", known); err != nil || body != "hello" {
		t.Errorf("%q, %v", body, err)
	}
	if _, err := get("other.example", known); !errors.As(err, new(x509.HostnameError)) {
		t.Errorf("another host: %v", err)
	}
	if _, err := get("monitoring.example", x509.NewCertPool()); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("an unknown authority: %v", err)
	}
}
