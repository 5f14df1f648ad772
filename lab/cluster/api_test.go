package cluster

import (
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	kjson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/rest"
)

// api is a stand-in of an API server, without a network: a client's transport. It stores objects, applies them as
// server-side apply does for one manager, and reports Deployments as ready.
type api struct {
	version string
	groups  map[string][]metav1.APIResource // by GROUP/VERSION

	mu      sync.Mutex
	objects map[string]*stored // by path
	pages   map[string]string  // by path
	patches []string           // those that are not applies
	// before is called with each request, after it is read. A status other than 0 is the response.
	before func(r *http.Request) (status int, message string)
	// away reports whether connections are refused. Nil means never.
	away func() bool
	// made is called with each object that is created or changed.
	made func(o *unstructured.Unstructured)
}

// stored is an object: the fields of its author and, in applied, those of fleetman.
type stored struct {
	own, applied map[string]any
	ready        bool // own is the status of a Deployment that has its pods
}

func (s *stored) object() *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: merge(s.own, s.applied)}
	if len(s.applied) > 0 {
		o.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: manager, Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1("{}")}})
	}
	return o
}

// report gives a Deployment the status of one that has its pods.
func (s *stored) report() {
	replicas, _, _ := unstructured.NestedInt64(s.object().Object, "spec", "replicas")
	s.ready = true
	s.own = map[string]any{"status": map[string]any{"updatedReplicas": replicas, "availableReplicas": replicas, "replicas": replicas}}
}

func merge(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]any{}
	}
	for key, value := range b {
		inner, isMap := value.(map[string]any)
		old, wasMap := all[key].(map[string]any)
		if isMap && wasMap {
			value = merge(old, inner)
		}
		all[key] = value
	}
	return all
}

func resources(namespaced bool, kinds ...string) (list []metav1.APIResource) {
	for _, kind := range kinds {
		name := strings.ToLower(kind) + "s"
		if kind != "Gateway" && strings.HasSuffix(kind, "y") {
			name = strings.ToLower(strings.TrimSuffix(kind, "y")) + "ies"
		}
		list = append(list, metav1.APIResource{Name: name, Kind: kind, Namespaced: namespaced, Verbs: metav1.Verbs{"get", "list", "patch", "delete"}})
	}
	return list
}

// apiAddress is the address of the stand-in.
const apiAddress = "https://api.invalid"

// newAPI returns an API server without Istio.
func newAPI() *api {
	a := &api{version: "v1.36.3", objects: map[string]*stored{}, groups: map[string][]metav1.APIResource{
		"v1":                   append(resources(true, "Pod", "Service", "Secret", "ServiceAccount", "Event"), resources(false, "Namespace", "Node")...),
		"apps/v1":              resources(true, "Deployment"),
		"batch/v1":             resources(true, "Job"),
		"policy/v1":            resources(true, "PodDisruptionBudget"),
		"networking.k8s.io/v1": resources(true, "NetworkPolicy"),
	}}
	a.put("v1", `{"kind":"Node","metadata":{"name":"one"},"status":{"conditions":[{"type":"Ready","status":"True"}],"addresses":[{"type":"InternalIP","address":"192.0.2.2"}]}}`)
	return a
}

// RoundTrip implements http.RoundTripper.
func (a *api) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if a.away != nil && a.away() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	w := httptest.NewRecorder()
	a.serve(w, r)
	response := w.Result()
	response.Request = r
	return response, nil
}

// withIstio adds Istio's kinds of the given version.
func (a *api) withIstio(version string) *api {
	a.groups["networking.istio.io/"+version] = resources(true, "VirtualService", "DestinationRule", "Gateway", "Sidecar", "ServiceEntry")
	a.groups["security.istio.io/"+version] = resources(true, "AuthorizationPolicy", "PeerAuthentication")
	return a
}

// put stores an object of another author.
func (a *api) put(groupVersion, text string) {
	var own map[string]any
	if err := kjson.Unmarshal([]byte(text), &own); err != nil {
		panic(err) // a mistake in the test
	}
	own["apiVersion"] = groupVersion
	o := &unstructured.Unstructured{Object: own}
	for _, resource := range a.groups[groupVersion] {
		if resource.Kind == o.GetKind() {
			a.mu.Lock()
			a.objects[pathOf(groupVersion, o.GetNamespace(), resource.Name, o.GetName())] = &stored{own: own}
			a.mu.Unlock()
			return
		}
	}
	panic("no kind " + o.GetKind())
}

func pathOf(groupVersion, namespace, resource, name string) string {
	path := "/apis/" + groupVersion
	if groupVersion == "v1" {
		path = "/api/v1"
	}
	if namespace != "" {
		path += "/namespaces/" + namespace
	}
	return path + "/" + resource + "/" + name
}

// refuse lets requests for a path that has an end fail, other than dry runs. An empty method means any.
func (a *api) refuse(method, end string, status int, message string) {
	a.before = func(r *http.Request) (int, string) {
		if (method == "" || r.Method == method) && strings.HasSuffix(r.URL.Path, end) && r.URL.Query().Get("dryRun") == "" {
			return status, message
		}
		return 0, ""
	}
}

// refs returns the objects, as KIND NAMESPACE/NAME.
func (a *api) refs() (refs []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.objects {
		refs = append(refs, refOf(s.object()))
	}
	slices.Sort(refs)
	return refs
}

// wantRefs compares the objects with those that there must be.
func (a *api) wantRefs(t *testing.T, want []string) {
	t.Helper()
	assert.Equal(t, want, a.refs(), "objects")
}

func (a *api) get(path string) *unstructured.Unstructured {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.objects[path]; s != nil {
		return s.object()
	}
	return nil
}

func (a *api) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	before := a.before
	a.mu.Unlock()
	if before != nil {
		if status, message := before(r); status != 0 {
			fail(w, status, message)
			return
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch path := r.URL.Path; {
	case path == "/version":
		respond(w, 200, map[string]string{"major": "1", "gitVersion": a.version})
	case path == "/api":
		respond(w, 200, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case path == "/apis":
		respond(w, 200, a.groupList())
	case a.groups[strings.TrimPrefix(strings.TrimPrefix(path, "/apis/"), "/api/")] != nil:
		name := strings.TrimPrefix(strings.TrimPrefix(path, "/apis/"), "/api/")
		respond(w, 200, metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList"}, GroupVersion: name, APIResources: a.groups[name]})
	case a.pages[path] != "":
		_, _ = io.WriteString(w, a.pages[path])
	case r.Method == http.MethodPatch:
		a.apply(w, r)
	case r.Method == http.MethodPost && path == "/api/v1/namespaces":
		a.create(w, r)
	case r.Method == http.MethodDelete:
		a.remove(w, path)
	case a.objects[path] != nil:
		respond(w, 200, a.objects[path].object().Object)
	default:
		a.list(w, r)
	}
}

func (a *api) groupList() metav1.APIGroupList {
	list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList"}}
	for _, name := range slices.Sorted(maps.Keys(a.groups)) {
		if group, version, ok := strings.Cut(name, "/"); ok {
			v := metav1.GroupVersionForDiscovery{GroupVersion: name, Version: version}
			list.Groups = append(list.Groups, metav1.APIGroup{Name: group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v})
		}
	}
	return list
}

// kindOf returns the kind and the version of a collection; no kind for other paths.
func (a *api) kindOf(path string) (kind, version string) {
	for version, list := range a.groups {
		for _, r := range list {
			if strings.HasSuffix(path, "/"+r.Name) && (strings.HasPrefix(path, "/apis/"+version+"/") || strings.HasPrefix(path, "/api/"+version+"/")) {
				return r.Kind, version
			}
		}
	}
	return "", ""
}

// ofNamespace matches the namespace in a path, which a list of all namespaces does not have.
var ofNamespace = regexp.MustCompile(`/namespaces/[^/]+/([^/]+/)`)

func (a *api) list(w http.ResponseWriter, r *http.Request) {
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		respond(w, 400, nil)
		return
	}
	items := []any{}
	kind, version := a.kindOf(r.URL.Path)
	if kind == "" {
		fail(w, 404, r.URL.Path+" not found")
		return
	}
	for _, path := range slices.Sorted(maps.Keys(a.objects)) {
		if o := a.objects[path].object(); (strings.HasPrefix(path, r.URL.Path+"/") || strings.HasPrefix(ofNamespace.ReplaceAllString(path, "/$1"), r.URL.Path+"/")) && selector.Matches(labels.Set(o.GetLabels())) {
			items = append(items, o.Object)
		}
	}
	respond(w, 200, map[string]any{"kind": kind + "List", "apiVersion": version, "metadata": map[string]any{}, "items": items})
}

func (a *api) apply(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if s := a.objects[r.URL.Path]; s != nil && r.Header.Get("Content-Type") == "application/strategic-merge-patch+json" {
		a.patch(w, s, text)
		return
	}
	var applied map[string]any
	if err != nil || kjson.Unmarshal(text, &applied) != nil || r.Header.Get("Content-Type") != "application/apply-patch+yaml" ||
		r.URL.Query().Get("fieldManager") != manager {
		respond(w, 415, nil)
		return
	}
	s := a.objects[r.URL.Path]
	if s == nil {
		s = &stored{}
	}
	made := &stored{own: s.own, applied: applied}
	dryRun, force := r.URL.Query().Get("dryRun") != "", r.URL.Query().Get("force") == "true"
	if !made.takeLabels(force) {
		fail(w, 409, "Apply failed with 1 conflict")
		return
	}
	if !dryRun {
		a.objects[r.URL.Path] = made
		if made.object().GetKind() == "Deployment" && (s.own == nil || s.ready) {
			made.report()
		}
		if a.made != nil {
			a.made(made.object())
		}
	}
	respond(w, 200, made.object().Object)
}

// takeLabels takes the labels that the author has set to other values, as an apply does by force. It reports false
// without force, if there are any.
func (s *stored) takeLabels(force bool) bool {
	own, applied := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(s.own)}, &unstructured.Unstructured{Object: s.applied}
	kept, wanted := own.GetLabels(), applied.GetLabels()
	count := len(kept)
	maps.DeleteFunc(kept, func(name, value string) bool {
		want, ok := wanted[name]
		return ok && want != value
	})
	if len(kept) < count {
		own.SetLabels(kept)
		s.own = own.Object
	}
	return force || len(kept) == count
}

// create creates a namespace.
func (a *api) create(w http.ResponseWriter, r *http.Request) {
	var own map[string]any
	text, err := io.ReadAll(r.Body)
	if err != nil || kjson.Unmarshal(text, &own) != nil {
		respond(w, 415, nil)
		return
	}
	path := r.URL.Path + "/" + (&unstructured.Unstructured{Object: own}).GetName()
	if a.objects[path] != nil {
		fail(w, 409, path+" already exists")
		return
	}
	own["apiVersion"], own["kind"] = "v1", "Namespace"
	a.objects[path] = &stored{own: own}
	respond(w, 201, own)
}

// patch notes a patch, and merges one without lists.
func (a *api) patch(w http.ResponseWriter, s *stored, text []byte) {
	a.patches = append(a.patches, string(text))
	var change map[string]any
	if kjson.Unmarshal(text, &change) == nil && !strings.Contains(string(text), "[") {
		s.applied = merge(s.applied, change)
	}
	if s.ready {
		s.report()
	}
	respond(w, 200, s.object().Object)
}

func (a *api) remove(w http.ResponseWriter, path string) {
	if a.objects[path] == nil {
		fail(w, 404, path+" not found")
		return
	}
	if o := a.objects[path].object(); len(o.GetFinalizers()) > 0 {
		o.SetDeletionTimestamp(new(metav1.Now()))
		a.objects[path].own = o.Object
		respond(w, 200, o.Object)
		return
	}
	delete(a.objects, path)
	if name, ok := strings.CutPrefix(path, "/api/v1/namespaces/"); ok && !strings.Contains(name, "/") {
		maps.DeleteFunc(a.objects, func(other string, _ *stored) bool { return strings.Contains(other, "/namespaces/"+name+"/") })
	}
	respond(w, 200, metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Success"})
}

// fail responds as an API server does to a request that fails.
func fail(w http.ResponseWriter, status int, message string) {
	reason := map[int]metav1.StatusReason{
		401: metav1.StatusReasonUnauthorized, 403: metav1.StatusReasonForbidden, 404: metav1.StatusReasonNotFound, 409: metav1.StatusReasonConflict, 500: metav1.StatusReasonInternalError,
	}[status]
	respond(w, status, metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Code: int32(status), Reason: reason, Message: message})
}

func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// client returns a client of the stand-in.
func (a *api) client(t *testing.T, namespace string) *Client {
	t.Helper()
	c, err := newClient(Options{Context: "test", Namespace: namespace}, &rest.Config{Host: apiAddress, Transport: a}, new(atomic.Bool))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}
