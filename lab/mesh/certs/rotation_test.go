package certs

import (
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
)

func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, time.Hour)
		stream, _ := open(t, server)
		began := time.Now()
		request := ask("tracker-0", tracker, workloadSecret)
		stream.in <- request
		serials := map[string]bool{}
		for round := range 5 {
			answer := <-stream.answers // the bubble's clock advances until there is one
			require.Equal(t, time.Duration(round)*30*time.Minute, time.Since(began), "time of certificate %d", round)
			certificate := leaf(t, secrets(t, answer)[workloadSecret])
			assert.Equal(t, time.Hour, time.Until(certificate.NotAfter), "life of certificate %d", round)
			assert.Equal(t, "spiffe://cluster.local/ns/default/sa/fleetman-position-tracker", certificate.URIs[0].String(), "identity of certificate %d", round)
			serials[certificate.SerialNumber.String()] = true
			stream.in <- accept(request, answer)
		}
		assert.Len(t, serials, 5, "different certificates")
	})
}

func TestAForgottenNodeIsNotRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, time.Hour)
		stream, done := open(t, server)
		stream.in <- ask("tracker-0", tracker, workloadSecret)
		<-stream.answers
		server.Forget("tracker-0")
		assert.Equal(t, codes.PermissionDenied, grpcstatus.Code(<-done), "at the renewal")
	})
}

func TestTheStreamKeepsToTheProtocol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, 1000*time.Hour)
		var refused []string
		server.Refused = func(line string) { refused = append(refused, line) }
		stream, _ := open(t, server)
		quiet := func(after string) {
			t.Helper()
			synctest.Wait()
			require.Empty(t, stream.answers, "answers after %s", after)
		}
		first := ask("staff-0", staff, rootSecret)
		stream.in <- first
		answer := <-stream.answers
		require.Equal(t, []string{rootSecret}, slices.Sorted(maps.Keys(secrets(t, answer))), "asked for the root")
		stream.in <- accept(first, answer)
		quiet("an acceptance")

		both := accept(first, answer)
		both.ResourceNames = []string{rootSecret, workloadSecret}
		stream.in <- both
		second := <-stream.answers
		require.Equal(t, []string{rootSecret, workloadSecret}, slices.Sorted(maps.Keys(secrets(t, second))), "asked for both")
		require.NotEqual(t, answer.Nonce, second.Nonce, "nonce")
		stream.in <- accept(first, answer)
		quiet("a request about an old answer")
		stream.in <- refuse(both, second)
		quiet("a refusal")
		assert.Equal(t, []string{"staff-0 rejected the secrets [ROOTCA default]: key does not match"}, refused, "refusals")
	})
}

func TestUnknownSecretsAndTypes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, Lifetime)
		stream, done := open(t, server)
		stream.in <- ask("staff-0", staff, "kubernetes://tls")
		err := <-done
		assert.Equal(t, codes.NotFound, grpcstatus.Code(err), "an unknown secret")
		assert.ErrorContains(t, err, `secret: "kubernetes://tls": must be default, ROOTCA or file-root:system`)
		stream, done = open(t, server)
		request := ask("staff-0", staff, rootSecret)
		request.TypeUrl = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
		stream.in <- request
		assert.Equal(t, codes.InvalidArgument, grpcstatus.Code(<-done), "a cluster asked for")
	})
}

// TestSystemRoots checks the secret with which a proxy verifies servers outside the mesh.
func TestSystemRoots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, Lifetime)
		server.systemRoots = "/roots.pem"
		stream, _ := open(t, server)
		stream.in <- ask("staff-0", staff, systemSecret)
		roots := secrets(t, <-stream.answers)[systemSecret].GetValidationContext().GetTrustedCa().GetFilename()
		assert.Equal(t, "/roots.pem", roots, "file")

		server.systemRoots = ""
		stream, done := open(t, server)
		stream.in <- ask("staff-0", staff, systemSecret)
		err := <-done
		assert.Equal(t, codes.NotFound, grpcstatus.Code(err), "without a file")
		assert.ErrorContains(t, err, "secret: file-root:system: no file of this machine's root certificates")
	})
}
