package control

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/mesh/meshtest"
	"fleetman.example/lab/nettest"
	"fleetman.example/lab/wants"
)

// nobody is the ID of a user other than the fleet's.
const nobody = 65534

// asNobody calls try on a thread that has the permissions of the user nobody.
func asNobody(try func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked, so the thread ends with the goroutine
		for _, call := range [][2]uintptr{{syscall.SYS_SETGROUPS, 0}, {syscall.SYS_SETRESGID, nobody}, {syscall.SYS_SETRESUID, nobody}} {
			if _, _, errno := syscall.RawSyscall(call[0], call[1], call[1], call[1]); errno != 0 {
				done <- fmt.Errorf("change the user: %w", errno)
				return
			}
		}
		done <- try()
	}()
	return <-done
}

func read(path string) func() error {
	return func() error {
		_, err := os.ReadFile(path)
		return err
	}
}

func connect(path string) func() error {
	return func() error {
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		defer syscall.Close(fd)
		return syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
	}
}

// TestAnotherUser checks SECURITY.md's table of what another user of this machine can do to a running mesh.
func TestAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	programs := meshtest.Binaries(t)
	objects, err := manifest.Load(filepath.Join(root, "k8s/base/staff-service.yaml"))
	require.NoError(t, err)
	injected, err := manifest.Decode("namespace.yaml", []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {istio-injection: enabled}}\n"))
	require.NoError(t, err)
	objects.All = append(objects.All, injected...)
	temp := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(temp), 0o755)) // otherwise nobody can reach any file below it
	state := filepath.Join(temp, "state")
	network := nettest.Network(t)
	m, err := mesh.Start(t.Context(), objects, mesh.Options{Binaries: programs, Local: local.Options{
		Root: root, State: state, Environ: os.Environ(), ReadyTimeout: 3 * time.Minute, Progress: func(line string) { t.Log(line) },
		Network: network, NodeAddress: nettest.Node(network),
	}})
	require.NoError(t, err)
	defer m.Stop()
	server, err := Serve(state, Fleet{Fleet: m.Fleet(), Mesh: m})
	require.NoError(t, err)
	defer server.Close()

	require.NoError(t, asNobody(read(filepath.Join(state, "hosts"))), "the state directory cannot be reached, so nothing below is proved")
	for name, try := range map[string]func() error{
		"the kubeconfig": read(filepath.Join(state, "mesh", "kubeconfig")), "the admin token": read(filepath.Join(state, "admin-token")),
		"the certificates": connect(filepath.Join(state, "mesh", "sds")), "a proxy's admin interface": connect(filepath.Join(state, "mesh", "admin-1")),
		"the control socket": connect(filepath.Join(state, "control.sock")),
	} {
		wants.Error(t, name+", as the fleet's own user", try(), "")
		assert.ErrorIs(t, asNobody(try), syscall.EACCES, name+", as another user")
	}
	// a port of loopback does not know who calls
	pod := m.Fleet().Pods()[0]
	kubeconfig, err := os.ReadFile(filepath.Join(state, "mesh", "kubeconfig"))
	require.NoError(t, err)
	api := regexp.MustCompile(`https://[0-9.:]+`).FindString(string(kubeconfig))
	admin := fmt.Sprintf("http://%s:%d", pod.Address, pod.AdminPort)
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for _, test := range []struct {
		method, url, body string
		status            int
	}{
		{"GET", api + "/api/v1/secrets", "", 401},
		{"POST", api + "/api/v1/namespaces/default/serviceaccounts/default/token", "{}", 401},
		{"POST", api + "/api/v1/namespaces/default/pods/" + pod.Name + "/portforward", "", 401},
		{"PUT", admin + "/faults", "crash", 401},
		{"DELETE", admin + "/faults", "", 401},
		{"GET", admin + "/faults", "", 200},
		{"GET", admin + "/metrics", "", 200},
		{"POST", "http://" + pod.Address + ":15000/quitquitquit", "", 405},
		{"POST", "http://" + pod.Address + ":15000/drain_listeners", "", 405},
		{"GET", "http://" + pod.Address + ":15000/stats/prometheus", "", 200},
	} {
		request, err := http.NewRequestWithContext(t.Context(), test.method, test.url, strings.NewReader(test.body))
		require.NoError(t, err)
		response, err := client.Do(request)
		if !assert.NoError(t, err, "%s %s", test.method, test.url) {
			continue
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		assert.Equal(t, test.status, response.StatusCode, "%s %s: %.200s", test.method, test.url, body)
	}
}
