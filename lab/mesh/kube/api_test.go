package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/features"
	featurestesting "k8s.io/client-go/features/testing"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"fleetman.example/lab/mesh/meshtest"
	"fleetman.example/lab/wants"
)

const patience = 2 * time.Minute

var (
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	virtuals   = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1beta1", Resource: "virtualservices"}
)

func configMap(name, value string, labels ...string) Object {
	set := map[string]any{}
	for _, label := range labels {
		key, text, _ := strings.Cut(label, "=")
		set[key] = text
	}
	return Object{
		"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"value": value},
		"metadata": map[string]any{"name": name, "namespace": "default", "labels": set},
	}
}

func virtualService(apiVersion, name, host string) Object {
	return Object{
		"apiVersion": apiVersion, "kind": "VirtualService", "metadata": map[string]any{"name": name, "namespace": "default"},
		"spec": map[string]any{"hosts": []any{host}},
	}
}

// front is the address of the API. The server behind it can be replaced.
type front struct {
	*httptest.Server
	behind         atomic.Pointer[Server]
	lists, watches atomic.Int32
}

func newFront(t *testing.T) *front {
	t.Helper()
	f := &front{}
	f.behind.Store(NewServer(time.Now))
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") != "" {
			f.watches.Add(1)
		} else {
			f.lists.Add(1)
		}
		f.behind.Load().Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(func() { f.CloseClientConnections(); f.Close() })
	return f
}

func (f *front) client(t *testing.T) *dynamic.DynamicClient {
	t.Helper()
	client, err := dynamic.NewForConfig(&rest.Config{Host: f.URL, QPS: -1})
	require.NoError(t, err)
	return client
}

func (f *front) replace(t *testing.T, objects ...Object) {
	t.Helper()
	require.NoError(t, f.behind.Load().Replace(objects))
}

// reflect keeps a store in sync with the server's objects, with client-go's Reflector.
func (f *front) reflect(t *testing.T, of schema.GroupVersionResource) cache.Store {
	t.Helper()
	resource := f.client(t).Resource(of).Namespace(metav1.NamespaceAll)
	store := cache.NewStore(cache.MetaNamespaceKeyFunc)
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return resource.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return resource.Watch(ctx, o)
		},
	}
	reflector := cache.NewReflectorWithOptions(lw, &unstructured.Unstructured{}, store, cache.ReflectorOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { reflector.RunWithContext(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return store
}

func has(store cache.Store, want ...string) func() error {
	return func() error {
		var got []string
		for _, item := range store.List() {
			o := item.(*unstructured.Unstructured)
			value, _, _ := unstructured.NestedString(o.Object, "data", "value")
			if hosts, ok, _ := unstructured.NestedStringSlice(o.Object, "spec", "hosts"); ok {
				value = hosts[0]
			}
			got = append(got, o.GetName()+"="+value)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("the client has %q, want %q", got, want)
		}
		return nil
	}
}

// Clients begin in two ways: with a list and a watch after it, or with a watch that first sends the
// existing objects.
func TestReflector(t *testing.T) {
	for _, streaming := range []bool{false, true} {
		t.Run(fmt.Sprintf("streaming=%v", streaming), func(t *testing.T) {
			featurestesting.SetFeatureDuringTest(t, features.WatchListClient, streaming)
			f := newFront(t)
			f.replace(t, configMap("a", "1"), configMap("b", "1"), virtualService("networking.istio.io/v1alpha3", "v", "x"))
			maps, services := f.reflect(t, configMaps), f.reflect(t, virtuals)
			meshtest.Await(t, "the client", has(maps, "a=1", "b=1"))
			meshtest.Await(t, "the client", has(services, "v=x"))

			f.replace(t, configMap("b", "2"), configMap("c", "1"), virtualService("networking.istio.io/v1", "v", "y"))
			meshtest.Await(t, "the client", has(maps, "b=2", "c=1"))
			meshtest.Await(t, "the client", has(services, "v=y"))
			f.replace(t)
			meshtest.Await(t, "the client", has(maps))

			lists := f.lists.Load()
			assert.Equal(t, map[bool]int32{true: 0, false: 2}[streaming], lists, "lists")
			// after a disconnect it resumes without a list
			watches := f.watches.Load()
			f.CloseClientConnections()
			f.replace(t, configMap("d", "4"))
			meshtest.Await(t, "the client", has(maps, "d=4"))
			assert.Equal(t, lists, f.lists.Load(), "lists after the disconnect")
			assert.Greater(t, f.watches.Load(), watches, "watches after the disconnect")
		})
	}
}

// A restarted server does not have the changes before its start, so its clients have to list again.
func TestRestart(t *testing.T) {
	for _, streaming := range []bool{false, true} {
		t.Run(fmt.Sprintf("streaming=%v", streaming), func(t *testing.T) {
			featurestesting.SetFeatureDuringTest(t, features.WatchListClient, streaming)
			f := newFront(t)
			f.replace(t, configMap("a", "1"), configMap("gone", "1"))
			store := f.reflect(t, configMaps)
			meshtest.Await(t, "the client", has(store, "a=1", "gone=1"))
			next := NewServer(time.Now)
			require.NoError(t, next.Replace([]Object{configMap("a", "2"), configMap("new", "1")}))
			f.behind.Store(next)
			f.CloseClientConnections()
			meshtest.Await(t, "the client", has(store, "a=2", "new=1"))
		})
	}
}

func TestVersionsTooOldAndTooNew(t *testing.T) {
	f := newFront(t)
	first := f.behind.Load().version
	for i := range historySize + 10 {
		f.replace(t, configMap("a", strconv.Itoa(i)))
	}
	resource := f.client(t).Resource(configMaps).Namespace("default")
	for _, old := range []int64{1, first - 1, first} {
		_, err := resource.Watch(t.Context(), metav1.ListOptions{ResourceVersion: strconv.FormatInt(old, 10)})
		assert.True(t, apierrors.IsResourceExpired(err) || apierrors.IsGone(err), "watch from %d: %v, want too old", old, err)
	}
	_, err := resource.Watch(t.Context(), metav1.ListOptions{ResourceVersion: strconv.FormatInt(f.behind.Load().version+1, 10)})
	assert.True(t, apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge), "watch from a version that is too new: %v", err)
	// a watch that is too slow gets an error
	behind := f.behind.Load()
	_, _, _, known := behind.since(behind.oldest)
	assert.True(t, known, "the oldest version is known")
	_, _, _, known = behind.since(behind.oldest - 1)
	assert.False(t, known, "a version before the oldest is known")
}

func next(t *testing.T, w watch.Interface) watch.Event {
	t.Helper()
	select {
	case event, ok := <-w.ResultChan():
		if !ok {
			t.Fatal("the watch ended")
		}
		return event
	case <-time.After(patience):
		t.Fatal("no event")
	}
	return watch.Event{}
}

func describe(event watch.Event) string {
	o := event.Object.(*unstructured.Unstructured)
	return fmt.Sprintf("%s %s %s", event.Type, o.GetName(), o.GetResourceVersion())
}

func TestBookmarks(t *testing.T) {
	f := newFront(t)
	s := f.behind.Load()
	s.bookmarkEvery = time.Millisecond
	f.replace(t, configMap("a", "1"))
	began := s.version
	w, err := f.client(t).Resource(configMaps).Watch(t.Context(), metav1.ListOptions{ResourceVersion: strconv.FormatInt(began, 10), AllowWatchBookmarks: true})
	require.NoError(t, err)
	defer w.Stop()
	// a change that the watch does not send advances its bookmark, too
	f.replace(t, configMap("a", "1"), virtualService("networking.istio.io/v1", "v", "x"))
	meshtest.Await(t, "the client", func() error {
		if got, want := describe(next(t, w)), fmt.Sprintf("BOOKMARK  %d", began+1); got != want {
			return fmt.Errorf("got %q, want %q", got, want)
		}
		return nil
	})
}

func TestInitialEvents(t *testing.T) {
	f := newFront(t)
	f.replace(t, configMap("a", "1"), configMap("b", "1"))
	now := f.behind.Load().version
	yes := true
	resource := f.client(t).Resource(configMaps)
	w, err := resource.Watch(t.Context(), metav1.ListOptions{
		SendInitialEvents: &yes, AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	require.NoError(t, err)
	defer w.Stop()
	for _, want := range []string{fmt.Sprintf("ADDED a %d", now-1), fmt.Sprintf("ADDED b %d", now), fmt.Sprintf("BOOKMARK  %d", now)} {
		event := next(t, w)
		assert.Equal(t, want, describe(event))
		end := event.Object.(*unstructured.Unstructured).GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true"
		assert.Equal(t, event.Type == watch.Bookmark, end, "%s is the end of the initial events", event.Type)
	}
	_, err = resource.Watch(t.Context(), metav1.ListOptions{SendInitialEvents: &yes})
	assert.True(t, apierrors.IsInvalid(err), "without bookmarks: %v", err)
}

// An object that begins to match a selector is added for its client, and one that ceases to match is
// deleted.
func TestSelectors(t *testing.T) {
	f := newFront(t)
	f.replace(t, configMap("a", "1", "app=x"), configMap("b", "1"))
	resource := f.client(t).Resource(configMaps).Namespace("default")
	for want, options := range map[string]metav1.ListOptions{"a": {LabelSelector: "app in (x, y)"}, "b": {FieldSelector: "metadata.name!=a"}} {
		list, err := resource.List(t.Context(), options)
		require.NoError(t, err)
		require.Len(t, list.Items, 1, want)
		assert.Equal(t, want, list.Items[0].GetName())
	}
	_, err := resource.List(t.Context(), metav1.ListOptions{FieldSelector: "data.value=1"})
	assert.True(t, apierrors.IsBadRequest(err), "a field that is not supported: %v", err)
	w, err := resource.Watch(t.Context(), metav1.ListOptions{LabelSelector: "app=x", ResourceVersion: strconv.FormatInt(f.behind.Load().version, 10)})
	require.NoError(t, err)
	defer w.Stop()
	f.replace(t, configMap("a", "2", "app=x"), configMap("b", "1", "app=x"))
	f.replace(t, configMap("a", "2"), configMap("b", "1", "app=x"))
	f.replace(t)
	for _, want := range []string{"MODIFIED a", "ADDED b", "DELETED a", "DELETED b"} {
		wants.Text(t, "the event", describe(next(t, w)), want+" …")
	}
}

func TestReplace(t *testing.T) {
	s := NewServer(time.Now)
	require.NoError(t, s.Replace([]Object{configMap("a", "1"), virtualService("networking.istio.io/v1", "v", "x")}))
	kind := KindOf("networking.istio.io/v1", "VirtualService")
	before, version := s.get(kind, "default", "v"), s.version
	for _, bad := range []Object{
		{"apiVersion": "v1", "kind": "Widget", "metadata": map[string]any{"name": "w"}},
		{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "nowhere"}},
		{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "n", "namespace": "default"}},
		{"apiVersion": "v1", "kind": "ConfigMap"},
		{},
		configMap("b", "again"),
	} {
		require.Error(t, s.Replace([]Object{configMap("b", "2"), bad}), "%v", bad)
		require.True(t, s.version == version && s.get(kind, "default", "v") == before && len(s.history) == 2, "%v changed the state", bad)
	}
	// an unchanged object keeps its version, a changed one its UID
	require.NoError(t, s.Replace([]Object{configMap("a", "1"), virtualService("networking.istio.io/v1alpha3", "v", "y")}))
	after := s.get(kind, "default", "v")
	was, is := before.object["metadata"].(map[string]any), after.object["metadata"].(map[string]any)
	assert.Equal(t, []int64{version + 1, version + 1}, []int64{s.version, after.version}, "version of the server and of the object")
	assert.Equal(t, []any{was["uid"], was["creationTimestamp"], 1.0, 2.0}, []any{is["uid"], is["creationTimestamp"], was["generation"], is["generation"]}, "metadata")
}

func TestDeleted(t *testing.T) {
	s := NewServer(time.Now)
	gateway := func(apiVersion string) Object {
		return Object{"apiVersion": apiVersion, "kind": "Gateway", "metadata": map[string]any{"name": "g", "namespace": "default"}}
	}
	for _, test := range []struct {
		objects []Object
		want    []string
	}{
		{[]Object{configMap("a", "1"), virtualService("networking.istio.io/v1", "v", "x"), virtualService("networking.istio.io/v1", "w", "x")}, nil},
		{[]Object{virtualService("networking.istio.io/v1", "w", "x")}, []string{"VirtualService v"}},
		{nil, []string{"VirtualService v", "VirtualService w"}},
		{[]Object{virtualService("networking.istio.io/v1beta1", "v", "x"), gateway("networking.istio.io/v1")}, []string{"VirtualService w"}},
		{[]Object{gateway("gateway.networking.k8s.io/v1")}, []string{"VirtualService v", "VirtualService w"}},
		{[]Object{gateway("networking.istio.io/v1")}, []string{"VirtualService v", "VirtualService w"}},
		{nil, []string{"Gateway g", "VirtualService v", "VirtualService w"}},
	} {
		require.NoError(t, s.Replace(test.objects))
		assert.Equal(t, test.want, s.Deleted())
	}
}

func TestEveryVersionOfAKind(t *testing.T) {
	f := newFront(t)
	f.replace(t, virtualService("networking.istio.io/v1alpha3", "v", "x"))
	for _, version := range []string{"v1", "v1beta1", "v1alpha3"} {
		of := schema.GroupVersionResource{Group: "networking.istio.io", Version: version, Resource: "virtualservices"}
		object, err := f.client(t).Resource(of).Namespace("default").Get(t.Context(), "v", metav1.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, "networking.istio.io/"+version, object.GetAPIVersion(), "apiVersion")
	}
}

func TestOnlyMetadata(t *testing.T) {
	f := newFront(t)
	f.replace(t, crd(KindOf("networking.istio.io/v1", "Gateway")))
	client, err := metadata.NewForConfig(&rest.Config{Host: f.URL})
	require.NoError(t, err)
	of := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	list, err := client.Resource(of).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || list.Items[0].Name != "gateways.networking.istio.io" || list.Items[0].Kind != "PartialObjectMetadata" {
		t.Fatalf("%+v, %v", list, err)
	}
	w, err := client.Resource(of).Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	require.NoError(t, err)
	defer w.Stop()
	f.replace(t)
	event := next(t, w)
	if o, ok := event.Object.(*metav1.PartialObjectMetadata); !ok || event.Type != watch.Deleted || o.Name != "gateways.networking.istio.io" {
		t.Errorf("%s %T %v", event.Type, event.Object, event.Object)
	}
}

func TestDiscovery(t *testing.T) {
	f := newFront(t)
	client, err := discovery.NewDiscoveryClientForConfig(&rest.Config{Host: f.URL})
	require.NoError(t, err)
	_, lists, err := client.ServerGroupsAndResources()
	require.NoError(t, err)
	found := map[string]bool{}
	for _, list := range lists {
		for _, resource := range list.APIResources {
			found[list.GroupVersion+" "+resource.Kind] = true
			assert.Len(t, resource.Verbs, 3, resource.Name)
		}
	}
	for i := range kinds {
		for _, version := range kinds[i].Versions {
			assert.Contains(t, found, kinds[i].apiVersion(version)+" "+kinds[i].Kind)
		}
	}
	version, err := client.ServerVersion()
	require.NoError(t, err)
	assert.True(t, version.Major == "1" && version.Minor != "", "version %v", version)
}

func ask(t *testing.T, f *front, method, path, accept string) (int, string, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, f.URL+path, nil)
	require.NoError(t, err)
	request.Header.Set("Accept", accept)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var body map[string]any
	require.NoError(t, json.Unmarshal(data, &body), "%s %s: %s", method, path, data)
	return response.StatusCode, response.Header.Get("Content-Type"), body
}

func TestResponses(t *testing.T) {
	f := newFront(t)
	f.replace(t, configMap("a", "1"))
	for _, test := range []struct {
		method, path string
		status       int
		reason       any
	}{
		{"GET", "/api/v1/configmaps", 200, nil},
		{"GET", "/api/v1/namespaces/default/configmaps/a", 200, nil},
		{"GET", "/api/v1/namespaces/default/configmaps/b", 404, "NotFound"},
		{"GET", "/api/v1/namespaces/default/nodes", 404, "NotFound"},
		{"GET", "/api/v1/configmaps/a", 404, "NotFound"},
		{"GET", "/api/v1/widgets", 404, "NotFound"},
		{"GET", "/apis/apps/v2/deployments", 404, "NotFound"},
		{"GET", "/apis/none.example", 404, "NotFound"},
		{"GET", "/", 404, "NotFound"},
		{"GET", "/api/v1/configmaps?watch=maybe", 400, "BadRequest"},
		{"GET", "/api/v1/configmaps?labelSelector=((", 400, "BadRequest"},
		{"GET", "/api/v1/configmaps?resourceVersion=new", 400, "BadRequest"},
		{"GET", "/api/v1/configmaps?watch=1&resourceVersion=-1", 400, "BadRequest"},
		{"GET", "/api/v1/configmaps?watch=1&timeoutSeconds=x", 400, "BadRequest"},
		{"POST", "/api/v1/namespaces/default/configmaps", 405, "MethodNotAllowed"},
		{"DELETE", "/api/v1/namespaces/default/configmaps/a", 405, "MethodNotAllowed"},
	} {
		status, contentType, body := ask(t, f, test.method, test.path, "application/vnd.kubernetes.protobuf,application/json")
		assert.Equal(t, []any{test.status, "application/json", test.reason}, []any{status, contentType, body["reason"]}, "%s %s", test.method, test.path)
		if test.status != 200 && (body["kind"] != "Status" || body["message"] == "" || body["code"] != float64(test.status)) {
			t.Errorf("%s %s: %v is no Status", test.method, test.path, body)
		}
	}
}

func TestWatchTimeout(t *testing.T) {
	f := newFront(t)
	seconds := int64(1)
	w, err := f.client(t).Resource(configMaps).Watch(t.Context(), metav1.ListOptions{TimeoutSeconds: &seconds})
	require.NoError(t, err)
	defer w.Stop()
	select {
	case event, open := <-w.ResultChan():
		assert.False(t, open, "%v without a change", event)
	case <-time.After(patience):
		t.Error("the watch does not end")
	}
}

func FuzzRequest(f *testing.F) {
	for _, seed := range []string{"/api/v1/pods", "/apis/apps/v1/namespaces/default/deployments/x?watch=1&timeoutSeconds=0", "/apis//v1/x", "/api/v1/namespaces//pods?fieldSelector=a%3Db"} {
		f.Add(seed)
	}
	s := NewServer(time.Now)
	require.NoError(f, s.Replace([]Object{configMap("a", "1")}))
	f.Fuzz(func(t *testing.T, path string) {
		request, err := http.NewRequest(http.MethodGet, "http://api/"+strings.TrimPrefix(path, "/"), nil)
		if err != nil {
			t.Skip()
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // a watch ends at once
		recorder := httptest.NewRecorder()
		s.Handler().ServeHTTP(recorder, request.WithContext(ctx))
		assert.Contains(t, []int{200, 400, 404, 410, 422, 504}, recorder.Code, "%q: %s", path, recorder.Body)
	})
}
