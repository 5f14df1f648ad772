package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/mesh"
	"fleetman.example/lab/mesh/meshtest"
	"fleetman.example/lab/wants"
)

func (c *command) mesh(t testing.TB) *mesh.Status {
	t.Helper()
	status := &mesh.Status{}
	c.read(t, status, "mesh", "status", "-o", "json")
	return status
}

// tries returns the attempts of api-gateway's proxy to each version of staff-service.
func (c *command) tries(t testing.TB) map[string]int {
	t.Helper()
	found := map[string]int{}
	for _, p := range c.mesh(t).Proxies {
		for _, u := range p.Upstreams {
			if subset := strings.Split(u.Cluster, "|")[2]; strings.HasPrefix(p.Name, "api-gateway") {
				found[subset] = int(u.Tries)
			}
		}
	}
	return found
}

// TestMeshCommand runs the course's published manifests, a directory and a file, and the other commands on
// the same fleet. At the end the launcher is killed, and no process is left.
func TestMeshCommand(t *testing.T) {
	t.Parallel()
	folder, file := filepath.Join(root, "lab", "local", "testdata", "published"), filepath.Join("testdata", "published", "mesh.yaml")
	meshtest.Binaries(t)
	c := launch(t, "--mesh", "--ingress-port", "0", folder, file)
	ingress := c.nodePort(t, "istio-ingressgateway")
	// split sends n requests, which the rule splits 9 to 1. The numbers come from the caller's proxy, because
	// the risky version of these manifests is slow and fails.
	split := func(t testing.TB, n int) {
		t.Helper()
		before := c.tries(t)
		counts := map[string]int{}
		var mu sync.Mutex
		var sending sync.WaitGroup
		for range 20 {
			sending.Go(func() {
				for text, times := range answers(t, ingress+driver, n/20) {
					mu.Lock()
					counts[text] += times
					mu.Unlock()
				}
			})
		}
		sending.Wait()
		after := c.tries(t)
		safe, risky := after["safe-group"]-before["safe-group"], after["risky-group"]-before["risky-group"]
		t.Logf("%d to the safe version, %d to the risky one", safe, risky)
		// none of 200 has a probability of 1e-9, more than 10 of 20 one of 1e-6
		if counts["safe"] < n/2 || safe+risky < n || risky > max(n/5, 10)+1 || n >= 200 && risky == 0 {
			t.Errorf("responses %v; %d to the safe version, %d to the risky one", counts, safe, risky)
		}
	}

	t.Run("published", func(t *testing.T) {
		for path, title := range map[string]string{
			"/":             "<title>Fleet Management</title>",
			"/experimental": "<title>Fleet Management Istio Premium Enterprise Edition</title>",
		} {
			r := send(t, http.MethodGet, ingress+path, "")
			assert.Equal(t, http.StatusOK, r.status, path)
			assert.Contains(t, r.body, title, path)
		}
		split(t, 200)
		await(t, "five vehicles", func() bool { return latest(t, ingress) != nil })
		// STRICT: the pod's proxy resets plaintext from the NodePort
		_, err := try(t.Context(), fresh, http.MethodGet, c.nodePort(t, "fleetman-webapp"), "")
		assert.Error(t, err, "the NodePort accepts plaintext")
	})

	t.Run("a list of plain files", func(t *testing.T) {
		files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
		require.NoError(t, err)
		require.Greater(t, len(files), 1)
		assert.Regexp(t, `nothing changed\n$`, c.ask(t, append([]string{"apply"}, append(files, file)...)...))
	})

	t.Run("a second launcher", func(t *testing.T) {
		before := c.mesh(t)
		began := time.Now()
		code, stdout, stderr := c.run(t, c.upArgs("--mesh", "--ingress-port", "0", folder, file)...)
		want := fmt.Sprintf("fleetman: another fleet runs in %s (process %d): end it with fleetman down, or choose another directory with --state, and other addresses with --network and --node-address\n", c.state, c.up.Process.Pid)
		assert.Equal(t, 1, code)
		assert.Empty(t, stdout)
		assert.Equal(t, want, stderr)
		t.Logf("refused after %v", time.Since(began))
		after := c.mesh(t)
		assert.True(t, after.Good(), "the first fleet: %+v", after)
		assert.Equal(t, before.Istiod.PID, after.Istiod.PID)
		await(t, "five vehicles", func() bool { return latest(t, ingress) != nil })
	})

	t.Run("a broken manifest", func(t *testing.T) {
		rules, workloads := read(t, filepath.Join(folder, "istio.yaml")), read(t, filepath.Join(folder, "workloads.yaml"))
		require.Contains(t, rules, "weight: 90")
		require.Contains(t, workloads, "replicas: 1")
		for _, test := range []struct {
			name             string
			rules, workloads string
			want             string
		}{
			{"does not parse", strings.Replace(rules, "spec:", "spec: [", 1), workloads, "istio.yaml"},
			{"a field misspelt in Istio's object", strings.Replace(rules, "weight: 90", "wieght: 90", 1), workloads, "wieght"},
			{"a field misspelt in a cluster's", rules, strings.Replace(workloads, "replicas: 1", "replicsa: 1", 1), "replicsa"},
			{"an image that nobody knows", rules, strings.Replace(workloads, "richardchesterwood/istio-fleetman-webapp", "nobody/webapp", 1), "nobody/webapp"},
		} {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "istio.yaml"), test.rules)
			write(t, filepath.Join(dir, "workloads.yaml"), test.workloads)
			code, stdout, stderr := c.run(t, "apply", dir, filepath.Join(folder, "services.yaml"), file)
			assert.Equal(t, 1, code, test.name)
			assert.Empty(t, stdout, test.name)
			wants.Text(t, test.name, stderr, "…"+test.want+"…\n")
			t.Log(strings.TrimSpace(stderr))
		}
		split(t, 20)
		status := c.mesh(t)
		assert.True(t, status.Good(), "%+v", status)
	})

	t.Run("an object with a dangling reference", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "nowhere.yaml")
		write(t, path, "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: nowhere}\nspec: {hosts: [a.example], gateways: [nobody], http: [{route: [{destination: {host: fleetman-webapp}}]}]}\n")
		assert.Contains(t, c.ask(t, "apply", folder, file, path), `VirtualService nowhere: error: Referenced gateway not found: "nobody" (istioctl analyze, IST0101)`)
		assert.Contains(t, c.ask(t, "apply", folder, file), "VirtualService nowhere deleted")
	})

	t.Run("saved while watched", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "more.yaml")
		save := func(text string) { // atomically, or the command may read half a file
			t.Helper()
			write(t, path+".new", text)
			require.NoError(t, os.Rename(path+".new", path))
		}
		const entry = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: saved}\nspec: {hosts: [saved.example], ports: [{number: 8080, name: http, protocol: HTTP}]}\n"
		save(entry)
		watching := exec.Command(c.binary, "--root", root, "--state", c.state, "apply", "--watch", folder, file, path)
		out, in, err := os.Pipe()
		require.NoError(t, err)
		defer out.Close()
		watching.Stdout, watching.Stderr = in, in
		err = watching.Start()
		in.Close()
		require.NoError(t, err)
		defer watching.Process.Kill()
		lines := bufio.NewScanner(out)
		for _, step := range []struct{ text, want string }{
			{"", "ServiceEntry saved created; in every proxy"},
			{entry + "x: [", "fleetman: " + path + ": not YAML"},
			{strings.Replace(entry, "8080", "8081", 1), "ServiceEntry saved changed; in every proxy"},
			{"# nothing\n", "ServiceEntry saved deleted; in every proxy"},
		} {
			if step.text != "" {
				save(step.text)
			}
			if !lines.Scan() || !strings.HasPrefix(lines.Text(), step.want) {
				t.Fatalf("it printed %q, want %q", lines.Text(), step.want)
			}
		}
		require.NoError(t, watching.Process.Signal(os.Interrupt))
		assert.NoError(t, watching.Wait(), "ended by Ctrl-C")
	})

	t.Run("istioctl", func(t *testing.T) {
		status := c.mesh(t)
		istioctl := func(args ...string) string {
			cmd := exec.CommandContext(t.Context(), meshtest.Binaries(t).Istioctl.Path, args...)
			cmd.Env = append(os.Environ(), "KUBECONFIG="+status.Kubeconfig)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "istioctl %q: %s", args, out)
			return string(out)
		}
		proxies := istioctl("proxy-status")
		for _, p := range status.Proxies {
			assert.Contains(t, proxies, strings.TrimSuffix(p.Name, "-0")+"-0."+p.Namespace)
		}
		assert.Contains(t, istioctl("analyze", "--all-namespaces", "--failure-threshold", "Warning"), "No validation issues found")
	})

	t.Run("a proxy that hangs", func(t *testing.T) {
		const id = "api-gateway-0"
		proxy := proxyOf(t, *c.mesh(t), id)
		require.NoError(t, syscall.Kill(proxy.PID, syscall.SIGSTOP))
		defer syscall.Kill(proxy.PID, syscall.SIGCONT)
		stopped := time.Now()
		ready := func() bool { return c.pod(t, id).Ready }
		await(t, "the pod to be unready", func() bool { return !ready() })
		t.Logf("unready after %v", time.Since(stopped))
		queried := time.Now()
		status := c.mesh(t)
		assert.Less(t, time.Since(queried), time.Minute) // it gives up after 2 s, and the proxy is stopped until the test continues it
		assert.False(t, status.Good())
		for _, p := range status.Proxies {
			assert.Equal(t, p.Name != id, p.Ready, p.Name)
		}
		require.NoError(t, syscall.Kill(proxy.PID, syscall.SIGCONT))
		await(t, "the pod to be ready", ready)
		await(t, "responses", func() bool { return total(answers(t, ingress+driver, 1)) == 1 && c.mesh(t).Good() })
	})

	t.Run("killed", func(t *testing.T) {
		status := c.mesh(t)
		pids := []int{status.Istiod.PID}
		for _, p := range status.Proxies {
			pids = append(pids, p.PID)
		}
		for _, pod := range c.pods(t).Pods {
			pids = append(pids, pod.PID)
		}
		require.Len(t, pids, 2+2*len(c.pods(t).Pods), "istiod, the ingress gateway, and a proxy and a program for each pod")
		require.NotContains(t, pids, 0)
		require.NoError(t, c.up.Process.Kill())
		for _, pid := range pids {
			await(t, fmt.Sprintf("the end of process %d", pid), func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
		}
	})
}

// TestNewPodsWithConsole replaces a pod while the console receives spans at a port of 127.0.0.1. A proxy that connects
// before istiod has the pod's Sidecar would listen there, too, and reject the update.
func TestNewPodsWithConsole(t *testing.T) {
	t.Parallel()
	meshtest.Binaries(t)
	c := launch(t, "--mesh", "--ingress-port", "0", scenarios("canary-weighted"))
	for i := range 6 {
		assert.Contains(t, c.ask(t, "set", "staff-service", "MAX_CONNECTIONS="+strconv.Itoa(1000+i)), "1 pod started, 1 ended")
	}
}
