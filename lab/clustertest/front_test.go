package clustertest

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd/api"
)

// front forwards requests to the API server, and notes the permissions that they need.
type front struct {
	*httptest.Server
	away    atomic.Bool
	refused atomic.Int64

	mu     sync.Mutex
	needed sets.Set[string] // VERB RESOURCE.GROUP
}

// newFront returns a front that connects as config says. Without credentials there those of the requests are used.
func newFront(t *testing.T, config *rest.Config) *front {
	t.Helper()
	config.NextProtos = []string{"http/1.1"} // HTTP/2 has no upgrades
	transport, err := rest.TransportFor(config)
	require.NoError(t, err)
	target, err := url.Parse(config.Host)
	require.NoError(t, err)
	forward := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	f := &front{needed: sets.New[string]()}
	f.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.away.Load() {
			f.refused.Add(1)
			panic(http.ErrAbortHandler) // closes the connection
		}
		f.note(r)
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

// cluster returns the front's entry of a kubeconfig. client-go sends no token without TLS.
func (f *front) cluster() *api.Cluster {
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})
	return &api.Cluster{Server: f.URL, CertificateAuthorityData: authority}
}

// leave closes all connections, and each new one for a time.
func (f *front) leave(d time.Duration) {
	f.away.Store(true)
	f.CloseClientConnections()
	time.AfterFunc(d, func() { f.away.Store(false) })
}

// resourcePath matches the path of a resource: its group, resource, name and subresource.
var resourcePath = regexp.MustCompile(`^/(?:api|apis/([^/]+))/v[^/]+/(?:namespaces/[^/]+/)?([a-z]+)(/[^/]+)?(/[a-z]+)?`)

func (f *front) note(request *http.Request) {
	match := resourcePath.FindStringSubmatch(request.URL.Path)
	if match == nil {
		return // discovery, which everyone may
	}
	verbs := map[string][]string{http.MethodPost: {"create"}, http.MethodPatch: {"create", "patch"}, http.MethodPut: {"update"}, http.MethodDelete: {"delete"}}[request.Method]
	switch {
	case verbs != nil:
	case match[3] == "":
		verbs = []string{"list"}
	default:
		verbs = []string{"get"}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, verb := range verbs {
		f.needed.Insert(verb + " " + match[2] + match[4] + "." + match[1])
	}
}

// superfluous returns what the role allows and no request needed.
func (f *front) superfluous(role *rbacv1.ClusterRole) sets.Set[string] {
	allowed := sets.New[string]()
	for _, rule := range role.Rules {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				allowed.Insert(verb + " " + resource + "." + rule.APIGroups[0])
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return allowed.Difference(f.needed)
}
