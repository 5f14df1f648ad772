package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/wants"
)

// TestTokens checks the files of a run and those of the scenario: the manifest's key verifies each token,
// except for the forged one.
func TestTokens(t *testing.T) {
	made := t.TempDir()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var stdout, stderr bytes.Buffer
	require.Equal(t, 0, run([]string{made}, now, &stdout, &stderr), stderr.String())
	assert.Equal(t, "5 files in "+made+"; the tokens are valid until 2125-12-09\n", stdout.String())
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
			require.NoError(t, err, test.file)
			var got claims
			if err = token.Claims(keys, &got); err == nil {
				err = got.Validate(jwt.Expected{Issuer: issuer, Time: at})
			}
			require.ErrorIs(t, err, test.invalid, "%s/%s", dir, test.file)
			assert.Equal(t, test.subject+" in "+test.group, got.Subject+" in "+got.Group, "%s/%s", dir, test.file)
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
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &object))
	require.Len(t, object.Spec.JWTRules, 1, dir)
	assert.Equal(t, issuer, object.Spec.JWTRules[0].Issuer, dir)
	var keys jose.JSONWebKeySet
	require.NoError(t, json.Unmarshal([]byte(object.Spec.JWTRules[0].JWKS), &keys))
	for _, key := range keys.Keys {
		assert.True(t, key.IsPublic() && key.Valid(), "%s: key %s", dir, key.KeyID)
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
		{[]string{filepath.Join(t.TempDir(), "none")}, 1, "tokens: open …\n"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, test.code, run(test.args, time.Now(), &stdout, &stderr))
		wants.Text(t, "error", stderr.String(), test.want)
		assert.Empty(t, stdout.String())
	}
}
