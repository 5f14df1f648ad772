package clustertest

import (
	"bufio"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"fleetman.example/lab/record"
)

// experiment is a short comparison of two arms. It has no goals: what a busy machine delays may miss them.
const experiment = "testdata/short.yaml"

// TestCompare: the records of a comparison are whole, nothing of it is left, and the ClusterRole that --dry-run prints
// is what it needs.
func TestCompare(t *testing.T) {
	c := newCluster(t, "compare")
	u, front := newUser(t, c), newFront(t, rest.AnonymousClientConfig(c.config))
	config, out := u.kubeconfig(t, front), t.TempDir()
	role := u.grant(t, c.want(t, 0, nil, "compare", experiment, "--dry-run"))
	if c.want(t, 0, nil, "compare", experiment, "--out", out, "--kubeconfig", config); t.Failed() {
		t.FailNow()
	}
	c.wantNothing(t)
	c.want(t, 0, nil, "down", "--kubeconfig", config)
	for permission := range front.superfluous(role) { // objects in namespaces that exist are read first
		assert.Regexp(t, "^get ", permission, "allowed by the ClusterRole, and needed by no request")
	}
	records, err := record.ReadDir(out)
	require.NoError(t, err)
	require.Len(t, records.Runs, 2)
	assert.Regexp(t, "^cluster: ", records.Machine)
	assert.NotEmpty(t, records.Versions["istio"], "version of Istio")
	assert.NotEmpty(t, records.Versions["kubernetes"], "version of Kubernetes")
	for _, r := range records.Runs {
		wantRun(t, r)
	}
}

// wantRun compares a record with what each has, whichever endpoints kube-proxy has chosen for connections.
func wantRun(t *testing.T, r *record.Run) {
	t.Helper()
	has := map[string]bool{} // kinds of counts, by process and by service
	for _, s := range r.Samples {
		for _, count := range s.Counts {
			has[s.Pod+" "+count.Name], has[record.ServiceOf(s.Pod)+" "+count.Name] = true, true
		}
	}
	wanted := []string{"api-gateway-0 client", "staff-service server", "staff-service-0 cpu", "staff-service-1 memory", "position-tracker-0 memory"}
	if r.Arm == "mesh" { // its proxies choose for each request
		wanted = append(wanted, "staff-service-0 server", "staff-service-1 server", "api-gateway-0.envoy proxyAttempts", "api-gateway-0.envoy cpu", "istiod memory")
	}
	assert.Subset(t, has, wanted, "%s: counts", r.Name())
	assert.Equal(t, 12*20, len(r.Requests), "%s: requests", r.Name())
	assert.NotEmpty(t, r.Positions, "%s: positions", r.Name())
	assert.Equal(t, "api-gateway", r.Entry, "%s: entry", r.Name())
	require.Len(t, r.Pods, 1, "%s: pods with the fault", r.Name())
	// of so many, half of which fail, one in a million runs has none that failed
	const enough = 20
	met := r.Counters().Received(r.Pods[0], r.FaultAt, r.RepairAt)[http.MethodGet]
	if r.Arm == "none" && met >= enough {
		assert.True(t, slices.ContainsFunc(r.Requests, record.Request.Failed), "%s: none of %.0f requests to %s failed", r.Name(), met, r.Pods[0])
	}
}

// TestCompareEnded: nothing is left of a comparison that Ctrl-C ends, and nothing after down of one that was killed.
func TestCompareEnded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		signal syscall.Signal
		down   bool
		code   int
	}{
		"interrupted": {signal: syscall.SIGINT, code: 130},
		"killed":      {signal: syscall.SIGKILL, down: true, code: -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, "ended-"+name)
			cmd := c.command([]string{"compare", experiment, "--arms", "none", "--out", t.TempDir(), "--context", c.context, "--namespace", c.namespace})
			progress, err := cmd.StderrPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			lines := bufio.NewScanner(progress)
			for lines.Scan() {
				t.Log(lines.Text())
				if strings.HasPrefix(lines.Text(), "1 of 1 ") {
					await(t, "a pod of the load", func() bool {
						pods, err := c.kube.CoreV1().Pods(c.namespace+"-none").List(t.Context(), metav1.ListOptions{LabelSelector: "batch.kubernetes.io/job-name=fleetman-load-1"})
						require.NoError(t, err)
						return len(pods.Items) > 0
					})
					require.NoError(t, cmd.Process.Signal(test.signal))
				}
			}
			_ = cmd.Wait()
			assert.Equal(t, test.code, cmd.ProcessState.ExitCode(), "exit code")
			if test.down {
				c.want(t, 0, nil, "down")
			}
			c.wantNothing(t)
		})
	}
}
