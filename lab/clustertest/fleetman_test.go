package clustertest

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// contextVariable names the context of the cluster, in the kubeconfig of KUBECONFIG or ~/.kube/config.
const contextVariable = "FLEETMAN_TEST_CONTEXT"

// prefix begins the names of the tests' namespaces.
const prefix = "fleetman-test-"

// patience bounds one command that hangs. A check of five scenarios takes some minutes on an idle machine.
const patience = 25 * time.Minute

// cluster is the cluster that the tests use.
type cluster struct {
	context, binary string
	namespace       string   // of the test's fleet
	others          []string // other namespaces in which the test has objects
	config          *rest.Config
	kube            kubernetes.Interface
}

// newCluster returns the cluster of the environment for a test with a fleet in a namespace of its own, and removes
// at the end what the test has left. others are namespaces that its manifests name.
func newCluster(t *testing.T, name string, others ...string) *cluster {
	t.Helper()
	c := &cluster{context: os.Getenv(contextVariable), namespace: prefix + name, others: others}
	if c.context == "" {
		t.Skipf("%s: not set: must be the context of a cluster with Istio and the images of fleetman images load, such as kind's; see CONTRIBUTING.md", contextVariable)
	}
	var err error
	c.binary, err = filepath.Abs("../../.cache/bin/fleetman")
	require.NoError(t, err)
	rules, overrides := clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{CurrentContext: c.context}
	c.config, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	require.NoError(t, err)
	c.config.QPS, c.config.Burst = 100, 100
	c.kube, err = kubernetes.NewForConfig(c.config)
	require.NoError(t, err)
	t.Cleanup(func() { c.fleetman(t, "down") })
	return c
}

// at returns the cluster for a fleet in another namespace.
func (c *cluster) at(namespace string) *cluster {
	other := *c
	other.namespace = namespace
	return &other
}

// fleetman runs a command on the cluster to its end.
func (c *cluster) fleetman(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := c.command(append(args, "--context", c.context, "--namespace", c.namespace))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	require.NotNil(t, cmd.ProcessState, "fleetman %s: %v", strings.Join(args, " "), err)
	t.Logf("fleetman %s: exit code %d\n%s%s", strings.Join(args, " "), cmd.ProcessState.ExitCode(), out.String(), errs.String())
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// want runs a command that must end with a code and print texts, to standard output or, with another code than 0, to
// standard error. It returns what is printed there.
func (c *cluster) want(t *testing.T, code int, texts []string, args ...string) (printed string) {
	t.Helper()
	got, printed, stderr := c.fleetman(t, args...)
	if code != 0 {
		printed = stderr
	}
	assert.Equal(t, code, got, "fleetman %s: exit code", strings.Join(args, " "))
	for _, text := range texts {
		assert.Contains(t, printed, text, "fleetman %s", strings.Join(args, " "))
	}
	return printed
}

// down removes the fleet, of which nothing may be left.
func (c *cluster) down(t *testing.T, flags ...string) {
	t.Helper()
	c.want(t, 0, nil, append([]string{"down"}, flags...)...)
	c.wantNothing(t)
}

func (c *cluster) wantNothing(t *testing.T) {
	t.Helper()
	assert.Empty(t, c.left(t), "objects that are left")
}

// start starts an up, and returns it, with its standard error, when it applies objects.
func (c *cluster) start(t *testing.T, scenario string, flags ...string) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := c.command(append([]string{"up", scenario, "--context", c.context, "--namespace", c.namespace}, flags...))
	progress, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = io.ReadFull(progress, make([]byte, len("applying")))
	require.NoError(t, err)
	return cmd, progress
}

func (c *cluster) command(args []string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	cmd := exec.CommandContext(ctx, c.binary, args...)
	cmd.Cancel = func() error { defer cancel(); return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	return cmd
}

// left returns the objects of any kind with fleetman's label in the test's namespaces, and these.
func (c *cluster) left(t *testing.T) string {
	t.Helper()
	known, err := discovery.NewDiscoveryClientForConfig(c.config)
	require.NoError(t, err)
	client, err := dynamic.NewForConfig(c.config)
	require.NoError(t, err)
	lists, err := discovery.ServerPreferredResources(known)
	if !discovery.IsGroupDiscoveryFailedError(err) { // of an API server beside, such as of metrics, which is busy
		require.NoError(t, err)
	}
	var found []string
	for _, list := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "delete"}}, lists) {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		require.NoError(t, err)
		for _, r := range list.APIResources {
			if r.Name == "endpoints" || r.Name == "endpointslices" {
				continue // the controller's, which deletes them soon after their Services
			}
			items, err := client.Resource(gv.WithResource(r.Name)).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=fleetman"})
			require.NoError(t, err)
			for i := range items.Items {
				o := &items.Items[i]
				if len(o.GetOwnerReferences()) > 0 && r.Kind != "Pod" {
					continue // such as a ReplicaSet, which the garbage collector deletes soon after its owner
				}
				if place := cmp.Or(o.GetNamespace(), o.GetName()); place == c.namespace || strings.HasPrefix(place, c.namespace+"-") || slices.Contains(c.others, place) {
					found = append(found, r.Kind+" "+o.GetNamespace()+"/"+o.GetName())
				}
			}
		}
	}
	return strings.Join(found, ", ")
}

// await waits until a state is reached, on a busy machine too.
func await(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !reached(); time.Sleep(200 * time.Millisecond) {
		require.Less(t, time.Now(), deadline, "not reached: %s", what)
	}
}
