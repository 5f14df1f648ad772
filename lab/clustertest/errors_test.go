package clustertest

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// ownNamespace creates a namespace that is not fleetman's, and deletes it at the end.
func ownNamespace(t *testing.T, c *cluster, name string, labels map[string]string) {
	t.Helper()
	namespaces := c.kube.CoreV1().Namespaces()
	_, err := namespaces.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.Background()
		assert.NoError(t, namespaces.Delete(ctx, name, metav1.DeleteOptions{}))
		await(t, "no namespace "+name, func() bool {
			_, err := namespaces.Get(ctx, name, metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		})
	})
}

// freePorts returns a copy of a scenario with more components, for fleets side by side: the cluster chooses its node
// ports, and its Gateway has a host of its own, so that it takes no requests of another one.
func freePorts(t *testing.T, scenario string, components ...string) string {
	t.Helper()
	dir := filepath.Join(copyManifests(t), "scenarios", "free")
	require.NoError(t, os.Mkdir(dir, 0o755))
	text := "kind: Kustomization\nresources: [../" + scenario + "]\npatches:\n" +
		"  - target: {kind: Service, name: fleetman-webapp}\n    patch: '- {op: remove, path: /spec/ports/0/nodePort}'\n" +
		"  - target: {kind: Gateway}\n    patch: '- {op: replace, path: /spec/servers/0/hosts, value: [side-by-side.invalid]}'\n" +
		"components:\n"
	for _, component := range components {
		text += "  - ../../components/" + component + "\n"
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o644))
	return dir
}

// TestNotReady: up says what is wrong with a pod that does not get ready.
func TestNotReady(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "not-ready")
	t.Run("all", func(t *testing.T) { // at the same time
		for _, test := range []struct {
			name, want string
			components []string
			labels     map[string]string
			quota      bool
			args       []string
		}{
			{name: "image", want: "image missing: nowhere.invalid/fleetman/", args: []string{"--images", "nowhere.invalid"}},
			{name: "quota", want: ": quota: exceeded quota: ", quota: true},
			{name: "policy", want: `policy: violates PodSecurity "`, components: []string{"sidecars"}, labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}},
			{name: "probe", want: "Readiness probe failed: ", args: []string{"--set", "staff-service:ADMIN_ADDR=127.0.0.1:9090", "--ready-timeout", "1m"}},
		} {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				at := c.namespace + "-" + test.name
				ownNamespace(t, c, at, test.labels)
				if test.quota {
					noPods(t, c, at)
				}
				own := c.at(at)
				own.want(t, 1, []string{test.want}, append([]string{"up", freePorts(t, "plain", test.components...)}, test.args...)...)
				own.down(t)
			})
		}
	})
}

// noPods gives a namespace a quota that allows no pods.
func noPods(t *testing.T, c *cluster, namespace string) {
	t.Helper()
	quotas, hard := c.kube.CoreV1().ResourceQuotas(namespace), corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}
	_, err := quotas.Create(t.Context(), &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "none"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}}, metav1.CreateOptions{})
	require.NoError(t, err)
	await(t, "a quota that is in force", func() bool { // until then, pods are refused for another reason
		quota, err := quotas.Get(t.Context(), "none", metav1.GetOptions{})
		require.NoError(t, err)
		return len(quota.Status.Hard) > 0
	})
}

// TestOutage: an API server that goes away while a fleet is applied is waited for.
func TestOutage(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "outage")
	front := newFront(t, rest.CopyConfig(c.config))
	through := kubeconfig(t, func(config *api.Config) {
		for name := range config.Clusters {
			config.Clusters[name] = front.cluster()
		}
	})
	cmd, progress := c.start(t, freePorts(t, "plain"), "--kubeconfig", through)
	const away = 30 * time.Second // the limit is a minute
	front.leave(away)
	rest, _ := io.ReadAll(progress)
	assert.NoError(t, cmd.Wait())
	assert.Contains(t, string(rest), "ready after ")
	assert.NotZero(t, front.refused.Load(), "requests that met the outage")
	c.down(t)
}

// TestRefused: a wrong namespace, object, address or credential is one line, and changes nothing.
func TestRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "refused")
	at := c.namespace + "-other"
	ownNamespace(t, c, at, nil)
	_, err := c.kube.CoreV1().Services(at).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "fleetman-webapp"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	c.at(at).want(t, 1, []string{"Service " + at + "/fleetman-webapp: exists, and fleetman did not make it"}, "up", "plain")
	c.want(t, 2, []string{"RequestAuthentication istio-system/fleetman-visitors", "--yes: missing"}, "up", "jwt-routing")
	for want, change := range map[string]func(*api.Config){
		"API server https://127.0.0.1:1: connect: connection refused: must be reachable": func(config *api.Config) {
			for _, cluster := range config.Clusters {
				cluster.Server = "https://127.0.0.1:1"
			}
		},
		"its credentials are expired or unknown to ": func(config *api.Config) {
			for name := range config.AuthInfos {
				config.AuthInfos[name] = &api.AuthInfo{Token: "expired"}
			}
		},
	} {
		printed := c.want(t, 1, []string{want}, "up", "plain", "--kubeconfig", kubeconfig(t, change))
		assert.Equal(t, 1, strings.Count(printed, "\n"), "lines of %s", printed)
	}
	c.wantNothing(t)
}

// kubeconfig writes a changed copy of the kubeconfig.
func kubeconfig(t *testing.T, change func(*api.Config)) string {
	t.Helper()
	config, err := clientcmd.NewDefaultClientConfigLoadingRules().Load()
	require.NoError(t, err)
	change(config)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(*config, path))
	return path
}
