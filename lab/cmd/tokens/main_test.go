package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// TestTokens checks the files of a run and those of the scenario: the manifest's key verifies each token,
// except for the forged one.
func TestTokens(t *testing.T) {
	made := t.TempDir()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var stdout, stderr bytes.Buffer
	if code := run([]string{made}, now, &stdout, &stderr); code != 0 || stdout.String() != "5 files in "+made+"; the tokens are valid until 2125-12-09\n" {
		t.Fatalf("exit code %d, %s%s", code, stdout.String(), stderr.String())
	}
	for dir, at := range map[string]time.Time{made: now, "../../../k8s/scenarios/jwt-routing": time.Now()} {
		keys := publicKeys(t, dir)
		for _, test := range []struct {
			file, subject, group string
			invalid              error
		}{
			{"beta.jwt", "pam", "beta", nil},
			{"stable.jwt", "duke", "stable", nil},
			{"expired.jwt", "pam", "beta", jwt.ErrExpired},
			{"forged.jwt", "", "", jose.ErrCryptoFailure},
		} {
			text, err := os.ReadFile(filepath.Join(dir, test.file))
			require.NoError(t, err)
			token, err := jwt.ParseSigned(strings.TrimSpace(string(text)), []jose.SignatureAlgorithm{jose.ES256})
			if err != nil {
				t.Fatalf("%s: %v", test.file, err)
			}
			var got claims
			if err = token.Claims(keys, &got); err == nil {
				err = got.Validate(jwt.Expected{Issuer: issuer, Time: at})
			}
			if !errors.Is(err, test.invalid) || got.Subject != test.subject || got.Group != test.group {
				t.Errorf("%s/%s: %v, claims %+v, want error %v, %s in %s", dir, test.file, err, got, test.invalid, test.subject, test.group)
			}
		}
	}
}

// publicKeys returns the keys of the RequestAuthentication in a directory.
func publicKeys(t *testing.T, dir string) *jose.JSONWebKeySet {
	t.Helper()
	var object struct {
		Spec struct {
			JWTRules []struct{ Issuer, JWKS string } `json:"jwtRules"`
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "authentication.yaml"))
	if err == nil {
		err = yaml.Unmarshal(text, &object)
	}
	if err != nil || len(object.Spec.JWTRules) != 1 || object.Spec.JWTRules[0].Issuer != issuer {
		t.Fatalf("%s: %v, rules %+v", dir, err, object.Spec.JWTRules)
	}
	var keys jose.JSONWebKeySet
	require.NoError(t, json.Unmarshal([]byte(object.Spec.JWTRules[0].JWKS), &keys))
	for _, key := range keys.Keys {
		if !key.IsPublic() || !key.Valid() {
			t.Errorf("%s: key %s is private or invalid", dir, key.KeyID)
		}
	}
	return &keys
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 2, "tokens: 0 arguments: must be one DIRECTORY\n"},
		{[]string{filepath.Join(t.TempDir(), "none")}, 1, "tokens: open "},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(test.args, time.Now(), &stdout, &stderr); code != test.code || !strings.HasPrefix(stderr.String(), test.want) || stdout.Len() > 0 {
			t.Errorf("%v: exit code %d, %q %q, want %d, %q", test.args, code, stdout.String(), stderr.String(), test.code, test.want)
		}
	}
}
