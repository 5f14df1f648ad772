package meshtest

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fleetman.example/lab/scrape"
)

// Envoy is a running Envoy with one listener.
type Envoy struct {
	Admin    netip.AddrPort
	Listener string // its address
	log      string // a file
}

// StartEnvoy starts a real Envoy, whose bootstrap has its admin interface at a free port, and waits until it is
// ready. It ends with the test.
func StartEnvoy(t testing.TB, args ...string) Envoy {
	t.Helper()
	dir := t.TempDir()
	e, admin := Envoy{log: filepath.Join(dir, "log")}, filepath.Join(dir, "admin")
	// appended, because Envoy opens its standard output again for the access log
	log, err := os.OpenFile(e.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	require.NoError(t, err)
	defer log.Close()
	cmd := exec.Command(EnvoyPath(t), append(args, "--admin-address-path", admin)...)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("Envoy's log:\n%s", e.Log(t))
		}
	})
	Await(t, "Envoy to be ready", func() error {
		address, err := os.ReadFile(admin)
		if err != nil {
			return err
		}
		if e.Admin, err = netip.ParseAddrPort(string(address)); err != nil {
			return err
		}
		if _, err := e.get("/ready"); err != nil {
			return err
		}
		listeners, err := e.get("/listeners")
		_, e.Listener, _ = strings.Cut(listeners, "::")
		return err
	})
	return e
}

// get returns a document of the admin interface.
func (e Envoy) get(path string) (string, error) {
	status, body, err := scrape.Body(context.Background(), http.DefaultClient, "http://"+e.Admin.String()+path)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET %s: status %d: %s", path, status, body)
	}
	return strings.TrimSpace(string(body)), err
}

// Log returns what Envoy has logged.
func (e Envoy) Log(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(e.log)
	require.NoError(t, err)
	return string(text)
}

// Await calls a function until it returns no error.
func Await(t testing.TB, what string, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s: %v", what, err)
		}
	}
}
