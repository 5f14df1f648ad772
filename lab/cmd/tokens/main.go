// Command tokens makes a key and what the scenario jwt-routing needs of it: the RequestAuthentication with
// the public key, and a token for each case. It keeps no private key, so each run replaces all files.
//
//	go run ./lab/cmd/tokens k8s/scenarios/jwt-routing
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

func main() { os.Exit(run(os.Args[1:], time.Now(), os.Stdout, os.Stderr)) }

func run(args []string, now time.Time, stdout, stderr io.Writer) (exitCode int) {
	if len(args) != 1 {
		fmt.Fprintf(stderr, "tokens: %d arguments: must be one DIRECTORY\n", len(args))
		return 2
	}
	files, err := files(now)
	for name, text := range files {
		if err == nil {
			err = os.WriteFile(filepath.Join(args[0], name), []byte(text), 0o644)
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "tokens: %v\n", err)
		return 1
	}
	fmt.Fprintf(stdout, "%d files in %s; the tokens are valid until %s\n", len(files), args[0], now.Add(lifetime).Format(time.DateOnly))
	return 0
}

const (
	issuer = "visitors@fleetman.example"
	// lifetime is so long that the scenario does not expire. A real token's is minutes, because a
	// signature cannot be revoked.
	lifetime = 100 * 365 * 24 * time.Hour
)

// claims are the claims of a token.
type claims struct {
	jwt.Claims
	Group string `json:"group"`
}

// files returns the texts of the files, by name.
func files(now time.Time) (map[string]string, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	other, err := newKey()
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	for _, t := range []struct {
		file, subject, group string
		key                  jose.JSONWebKey
		issued               time.Time
		lifetime             time.Duration
	}{
		{"beta.jwt", "pam", "beta", key, now, lifetime},
		{"stable.jwt", "duke", "stable", key, now, lifetime},
		{"expired.jwt", "pam", "beta", key, now.Add(-2 * time.Hour), time.Hour},
		{"forged.jwt", "mallory", "beta", other, now, lifetime},
	} {
		token, err := sign(t.key, claims{jwt.Claims{
			Issuer: issuer, Subject: t.subject, IssuedAt: jwt.NewNumericDate(t.issued), Expiry: jwt.NewNumericDate(t.issued.Add(t.lifetime)),
		}, t.group})
		if err != nil {
			return nil, fmt.Errorf("sign %s: %w", t.file, err)
		}
		texts[t.file] = token + "\n"
	}
	public, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}})
	if err != nil {
		return nil, fmt.Errorf("encode the public key: %w", err)
	}
	texts["authentication.yaml"] = fmt.Sprintf(authentication, issuer, public)
	return texts, nil
}

// newKey returns a private key for ES256, whose signatures are short.
func newKey() (jose.JSONWebKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return jose.JSONWebKey{}, fmt.Errorf("make a key: %w", err)
	}
	return jose.JSONWebKey{Key: private, KeyID: "fleetman", Algorithm: string(jose.ES256), Use: "sig"}, nil
}

func sign(key jose.JSONWebKey, c claims) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(c).Serialize()
}

const authentication = `# Made by go run ./lab/cmd/tokens k8s/scenarios/jwt-routing, with the tokens beside it.
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata:
  name: fleetman-visitors
  # the gateway's
  namespace: istio-system
  labels:
    app.kubernetes.io/part-of: fleetman
spec:
  selector:
    matchLabels:
      istio: ingressgateway
  jwtRules:
    - issuer: %s
      jwks: '%s'
`
