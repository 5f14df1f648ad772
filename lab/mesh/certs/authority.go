package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"time"
)

// Domain is Istio's default trust domain.
const Domain = "cluster.local"

// authorityLifetime is longer than any fleet runs.
const authorityLifetime = 10 * 365 * 24 * time.Hour

// Identity is a workload's service account.
type Identity struct{ Namespace, ServiceAccount string }

// URI returns the identity's SPIFFE ID: spiffe://cluster.local/ns/NAMESPACE/sa/ACCOUNT.
func (i Identity) URI() *url.URL {
	return &url.URL{Scheme: "spiffe", Host: Domain, Path: "/ns/" + i.Namespace + "/sa/" + i.ServiceAccount}
}

var name = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)

func (i Identity) check() error {
	if !name.MatchString(i.Namespace) || !name.MatchString(i.ServiceAccount) {
		return fmt.Errorf("identity: namespace %.60q, service account %.60q: must be names of lower-case letters, digits, dots and dashes", i.Namespace, i.ServiceAccount)
	}
	return nil
}

// Authority is a certificate authority. Its key never leaves the process.
type Authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	root []byte
}

// NewAuthority returns an authority with a new key.
func NewAuthority() (*Authority, error) {
	fail := func(err error) (*Authority, error) {
		return nil, fmt.Errorf("make the authority of %s: %w", Domain, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{Domain}, CommonName: "fleetman"},
		NotBefore:             now.Add(-time.Minute),
		NotAfter:              now.Add(authorityLifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fail(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fail(err)
	}
	return &Authority{key: key, cert: cert, root: block("CERTIFICATE", der)}, nil
}

// Root returns the authority's own certificate, in PEM.
func (a *Authority) Root() []byte { return bytes.Clone(a.root) }

// Certificate is a workload's certificate and key, in PEM.
type Certificate struct{ Chain, Key []byte }

// Issue makes a key and signs a certificate for it. The certificate is valid for client and server
// authentication, for the given time, and for the addresses.
func (a *Authority) Issue(id Identity, lifetime time.Duration, addresses ...net.IP) (Certificate, error) {
	if err := id.check(); err != nil {
		return Certificate{}, err
	}
	fail := func(err error) (Certificate, error) {
		return Certificate{}, fmt.Errorf("issue a certificate to %s: %w", id.URI(), err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		NotBefore:   now.Add(-time.Minute),
		NotAfter:    now.Add(lifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{id.URI()},
		IPAddresses: addresses,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return fail(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fail(err)
	}
	return Certificate{Chain: block("CERTIFICATE", der), Key: block("PRIVATE KEY", private)}, nil
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
