package kube

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"fleetman.example/lab/local"
)

// asTable is the Accept header of kubectl get.
const asTable = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"

func TestTables(t *testing.T) {
	f := newFront(t)
	w := world(t, deployment, service,
		"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, creationTimestamp: \"2001-01-01T00:00:00Z\"}\nspec: {hosts: [a, b], gateways: [g]}\n",
		"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d}\nspec: {host: staff}\n",
		"apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p}\nspec: {mtls: {mode: STRICT}}\n")
	w.Began = f.behind.Load().clock()
	w.States["staff-0"] = local.PodState{ID: "staff-0", Ready: true, Restarts: 3}
	objects, _ := derive(t, w)
	f.replace(t, objects...)
	for _, test := range []struct{ path, header, row string }{
		{"/api/v1/namespaces/default/pods", "Name|Ready|Status|Restarts|Age|IP|Node", "staff-0|2/2|Running|3|AGE|127.0.1.11|localhost"},
		{"/api/v1/namespaces/default/pods?labelSelector=fleetman.example/pod%3Dstaff-1", "Name|Ready|Status|Restarts|Age|IP|Node", "staff-1|0/2|Running|0|AGE|127.0.1.12|localhost"},
		{"/api/v1/namespaces/istio-system/services/istio-ingressgateway", "Name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector", "istio-ingressgateway|NodePort|10.96.0.3|<none>|80:31380/TCP|AGE|app=istio-ingressgateway,istio=ingressgateway"},
		{"/apis/apps/v1/deployments", "Name|Ready|Up-to-date|Available|Age", "staff|1/2|2|1|AGE"},
		{"/apis/networking.istio.io/v1beta1/virtualservices", "Name|Gateways|Hosts|Age", `v|["g"]|["a","b"]|AGE`},
		{"/apis/networking.istio.io/v1/destinationrules", "Name|Host|Age", "d|staff|AGE"},
		{"/apis/security.istio.io/v1/peerauthentications", "Name|Mode|Age", "p|STRICT|AGE"},
		{"/apis/networking.istio.io/v1/namespaces/default/sidecars", "Name|Age", "fleetman-staff-0|AGE"},
		{"/api/v1/nodes", "Name|Age", "localhost|AGE"},
	} {
		status, _, body := ask(t, f, "GET", test.path, asTable)
		if status != http.StatusOK || body["kind"] != "Table" || body["apiVersion"] != "meta.k8s.io/v1" {
			t.Errorf("%s: %d %v", test.path, status, body)
			continue
		}
		var header []string
		age := -1
		for i, definition := range body["columnDefinitions"].([]any) {
			name := mapOf(definition)["name"].(string)
			if header = append(header, name); name == "Age" {
				age = i
			}
		}
		first := mapOf(body["rows"].([]any)[0])
		var row []string
		for i, cell := range first["cells"].([]any) {
			text := fmt.Sprint(cell)
			if i == age && strings.HasSuffix(text, "s") { // an age in seconds
				text = "AGE"
			}
			row = append(row, text)
		}
		assert.Equal(t, test.header, strings.Join(header, "|"), "%s: columns", test.path)
		assert.Equal(t, test.row, strings.Join(row, "|"), test.path)
		assert.Equal(t, "PartialObjectMetadata", at(first, "object", "kind"), "%s: kind of the row's object", test.path)
	}
	_, _, body := ask(t, f, "GET", "/api/v1/pods?includeObject=Object", asTable)
	assert.Equal(t, "Pod", at(body, "rows", 0, "object", "kind"), "kind of whole objects")
	status, _, _ := ask(t, f, "GET", "/api/v1/pods?includeObject=half", asTable)
	assert.Equal(t, http.StatusBadRequest, status, "an unknown includeObject")
}

// istioctl proxy-status requests a token.
func TestToken(t *testing.T) {
	f := newFront(t)
	status, _, body := ask(t, f, "POST", "/api/v1/namespaces/istio-system/serviceaccounts/default/token", "application/json")
	if status != http.StatusCreated || body["kind"] != "TokenRequest" || at(body, "status", "token") == "" || at(body, "status", "expirationTimestamp") == "" {
		t.Errorf("%d %v", status, body)
	}
	for _, path := range []string{"/api/v1/namespaces/a/serviceaccounts/b", "/api/v1/namespaces/a/pods/b/token"} {
		status, _, _ := ask(t, f, "POST", path, "application/json")
		assert.Equal(t, http.StatusMethodNotAllowed, status, path)
	}
}
