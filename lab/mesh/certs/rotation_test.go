package certs

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
)

func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, Options{Lifetime: time.Hour})
		stream, _ := open(t, server)
		began := time.Now()
		request := ask("tracker-0", tracker, workloadSecret)
		stream.in <- request
		serials := map[string]bool{}
		for round := range 5 {
			answer := <-stream.answers // the bubble's clock advances until there is one
			if since := time.Since(began); since != time.Duration(round)*30*time.Minute {
				t.Fatalf("certificate %d came after %s", round, since)
			}
			certificate := leaf(t, secrets(t, answer)[workloadSecret])
			if left := time.Until(certificate.NotAfter); left != time.Hour {
				t.Errorf("certificate %d has %s left", round, left)
			}
			if got := certificate.URIs[0].String(); got != "spiffe://cluster.local/ns/default/sa/fleetman-position-tracker" {
				t.Errorf("certificate %d is of %s", round, got)
			}
			serials[certificate.SerialNumber.String()] = true
			stream.in <- accept(request, answer)
		}
		if len(serials) != 5 {
			t.Errorf("%d different certificates of 5", len(serials))
		}
	})
}

func TestAForgottenNodeIsNotRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, Options{Lifetime: time.Hour})
		stream, done := open(t, server)
		stream.in <- ask("tracker-0", tracker, workloadSecret)
		<-stream.answers
		server.Forget("tracker-0")
		if err := <-done; grpcstatus.Code(err) != codes.PermissionDenied {
			t.Errorf("want PermissionDenied at the renewal, got %v", err)
		}
	})
}

func TestTheStreamKeepsToTheProtocol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, Options{Lifetime: 1000 * time.Hour})
		stream, _ := open(t, server)
		quiet := func(after string) {
			t.Helper()
			synctest.Wait()
			if len(stream.answers) != 0 {
				t.Fatalf("an answer after %s: %v", after, <-stream.answers)
			}
		}
		first := ask("staff-0", staff, rootSecret)
		stream.in <- first
		answer := <-stream.answers
		if got := slices.Sorted(maps.Keys(secrets(t, answer))); !slices.Equal(got, []string{rootSecret}) {
			t.Fatalf("asked for the root, got %v", got)
		}
		stream.in <- accept(first, answer)
		quiet("an acceptance")

		both := accept(first, answer)
		both.ResourceNames = []string{rootSecret, workloadSecret}
		stream.in <- both
		second := <-stream.answers
		if got := slices.Sorted(maps.Keys(secrets(t, second))); !slices.Equal(got, []string{rootSecret, workloadSecret}) || second.Nonce == answer.Nonce {
			t.Fatalf("asked for both, got %v with nonce %s", got, second.Nonce)
		}
		stream.in <- accept(first, answer)
		quiet("a request about an old answer")
		stream.in <- refuse(both, second)
		quiet("a refusal")
		if all := server.Refusals(); len(all) != 1 || !strings.Contains(all[0], "staff-0 rejected the secrets [ROOTCA default]: key does not match") {
			t.Errorf("refusals %q", all)
		}
	})
}

func TestUnknownSecretsAndTypes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, Options{})
		stream, done := open(t, server)
		stream.in <- ask("staff-0", staff, "kubernetes://tls")
		if err := <-done; grpcstatus.Code(err) != codes.NotFound || !strings.Contains(err.Error(), `secret: "kubernetes://tls": must be default, ROOTCA or file-root:system`) {
			t.Errorf("an unknown secret: %v", err)
		}
		stream, done = open(t, server)
		request := ask("staff-0", staff, rootSecret)
		request.TypeUrl = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
		stream.in <- request
		if err := <-done; grpcstatus.Code(err) != codes.InvalidArgument {
			t.Errorf("a cluster asked for: %v", err)
		}
	})
}

// TestSystemRoots checks the secret with which a proxy verifies servers outside the mesh.
func TestSystemRoots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream, _ := open(t, newServer(t, Options{SystemRoots: "/roots.pem"}))
		stream.in <- ask("staff-0", staff, systemSecret)
		roots := secrets(t, <-stream.answers)[systemSecret].GetValidationContext().GetTrustedCa().GetFilename()
		if roots != "/roots.pem" {
			t.Errorf("the file is %q, want /roots.pem", roots)
		}
		server := newServer(t, Options{})
		server.systemRoots = ""
		stream, done := open(t, server)
		stream.in <- ask("staff-0", staff, systemSecret)
		if err := <-done; grpcstatus.Code(err) != codes.NotFound || !strings.Contains(err.Error(), "secret: file-root:system: no file of this machine's root certificates") {
			t.Errorf("without a file: %v", err)
		}
	})
}
