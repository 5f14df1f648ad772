package clustertest

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"
)

// user is a ServiceAccount, in a namespace of its own.
type user struct {
	cluster          *cluster
	namespace, token string
}

// newUser creates a user without permissions.
func newUser(t *testing.T, c *cluster) *user {
	t.Helper()
	u := &user{cluster: c, namespace: c.namespace + "-user"}
	ownNamespace(t, c, u.namespace, nil)
	accounts := c.kube.CoreV1().ServiceAccounts(u.namespace)
	account, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "user"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	hour := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(3600))}}
	token, err := accounts.CreateToken(t.Context(), account.Name, hour, metav1.CreateOptions{})
	require.NoError(t, err)
	u.token = token.Status.Token
	return u
}

// kubeconfig returns the path of the user's kubeconfig, for the cluster or the front of it.
func (u *user) kubeconfig(t *testing.T, f *front) string {
	t.Helper()
	return kubeconfig(t, func(config *api.Config) {
		for name := range config.AuthInfos {
			config.AuthInfos[name] = &api.AuthInfo{Token: u.token}
		}
		for name := range config.Clusters {
			if f != nil {
				config.Clusters[name] = f.cluster()
			}
		}
	})
}

// grant gives the user the ClusterRole in what --dry-run has printed, until the end of the test.
func (u *user) grant(t *testing.T, printed string) *rbacv1.ClusterRole {
	t.Helper()
	first, _, _ := strings.Cut(strings.TrimPrefix(printed, "---\n"), "---\n")
	role := new(rbacv1.ClusterRole)
	require.NoError(t, yaml.UnmarshalStrict([]byte(first), role), "--dry-run: %s", first)
	require.Equal(t, "ClusterRole", role.Kind, "--dry-run: %s", first)
	role.Name = u.namespace
	roles, bindings := u.cluster.kube.RbacV1().ClusterRoles(), u.cluster.kube.RbacV1().ClusterRoleBindings()
	t.Cleanup(func() {
		_ = bindings.Delete(context.Background(), u.namespace, metav1.DeleteOptions{})
		_ = roles.Delete(context.Background(), u.namespace, metav1.DeleteOptions{})
	})
	_, err := roles.Create(t.Context(), role, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = bindings.Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: u.namespace}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: u.namespace},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "user", Namespace: u.namespace}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	rule := role.Rules[0]
	await(t, "a role that is in force", func() bool {
		return u.may(t, authorizationv1.ResourceAttributes{Group: rule.APIGroups[0], Resource: rule.Resources[0], Verb: rule.Verbs[0]})
	})
	return role
}

// name returns the user's name for the API server.
func (u *user) name() string { return "system:serviceaccount:" + u.namespace + ":user" }

// may reports whether the user has a permission.
func (u *user) may(t *testing.T, permission authorizationv1.ResourceAttributes) bool {
	t.Helper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: u.name(), ResourceAttributes: &permission}}
	reviewed, err := u.cluster.kube.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
	require.NoError(t, err)
	return reviewed.Status.Allowed
}

// TestPermissions: the ClusterRole that up --dry-run prints is enough, and without it the missing verb is named.
func TestPermissions(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "permissions")
	scenario := freePorts(t, "mtls-strict")
	u := newUser(t, c)
	config := u.kubeconfig(t, nil)
	want := u.name() + ": must be allowed to get namespaces in namespace " + c.namespace
	c.want(t, 1, []string{want}, "up", scenario, "--kubeconfig", config)
	u.grant(t, c.want(t, 0, nil, "up", "--dry-run", scenario))
	for _, denied := range []authorizationv1.ResourceAttributes{
		{Verb: "get", Resource: "secrets", Namespace: c.namespace, Name: "another"},
		{Verb: "delete", Resource: "namespaces", Namespace: "default", Name: "default"},
		{Verb: "patch", Resource: "namespaces", Namespace: "default", Name: "default"},
	} {
		require.False(t, u.may(t, denied), "%+v", denied)
	}
	for _, args := range [][]string{
		{"up", scenario},
		{"pods"},
		{"logs", "--tail", "1", "all"},
		{"mesh", "status"},
		{"fault", "staff-service", "status=503,for=1s"},
		{"fault", "verify", "staff-service"},
		{"apply", scenario},
		{"kill", "webapp"},
	} {
		c.want(t, 0, nil, append(args, "--kubeconfig", config)...)
	}
	c.down(t, "--kubeconfig", config)
	text, err := os.ReadFile(config)
	require.NoError(t, err)
	assert.Contains(t, string(text), u.token, "the kubeconfig")
}
