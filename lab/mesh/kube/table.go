package kube

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/duration"
)

// column is a column of kubectl's table. One with a priority above 0 is shown with -o wide alone.
type column struct {
	name, form string
	priority   int32
	cell       func(o *stored, now time.Time) any
}

func nameColumn() column {
	return column{name: "Name", form: "name", cell: func(o *stored, _ time.Time) any { return o.name }}
}

func ageColumn() column {
	return column{name: "Age", cell: func(o *stored, now time.Time) any {
		created, err := time.Parse(time.RFC3339, o.text("metadata", "creationTimestamp"))
		if err != nil {
			return "<unknown>"
		}
		return duration.HumanDuration(now.Sub(created))
	}}
}

// fieldColumn returns a column of a field, like an entry of a CRD's additionalPrinterColumns.
func fieldColumn(name string, priority int32, path ...string) column {
	return column{name: name, priority: priority, cell: func(o *stored, _ time.Time) any {
		at, _, _ := unstructured.NestedFieldNoCopy(o.object, path...)
		switch typed := at.(type) {
		case nil:
			return ""
		case []any, map[string]any: // the API server shows them as JSON
			text, _ := json.Marshal(typed)
			return string(text)
		}
		return fmt.Sprint(at)
	}}
}

// columns returns a kind's columns: those of a cluster's API server for the common kinds, and those of
// Istio's CRDs.
func columns(kind *Kind) []column {
	var middle, wide []column
	switch kind.key() {
	case "pods.":
		middle = []column{{name: "Ready", cell: podReady}, fieldColumn("Status", 0, "status", "phase"), {name: "Restarts", form: "integer", cell: podRestarts}}
		wide = []column{fieldColumn("IP", 1, "status", "podIP"), fieldColumn("Node", 1, "spec", "nodeName")}
	case "services.":
		middle = []column{
			fieldColumn("Type", 0, "spec", "type"), fieldColumn("Cluster-IP", 0, "spec", "clusterIP"),
			{name: "External-IP", cell: func(*stored, time.Time) any { return "<none>" }},
			{name: "Port(s)", cell: servicePorts},
		}
		wide = []column{{name: "Selector", priority: 1, cell: serviceSelector}}
	case "deployments.apps":
		middle = []column{{name: "Ready", cell: deploymentReady}, fieldColumn("Up-to-date", 0, "status", "updatedReplicas"), fieldColumn("Available", 0, "status", "availableReplicas")}
	case "virtualservices.networking.istio.io":
		middle = []column{fieldColumn("Gateways", 0, "spec", "gateways"), fieldColumn("Hosts", 0, "spec", "hosts")}
	case "destinationrules.networking.istio.io":
		middle = []column{fieldColumn("Host", 0, "spec", "host")}
	case "serviceentries.networking.istio.io":
		middle = []column{fieldColumn("Hosts", 0, "spec", "hosts"), fieldColumn("Location", 0, "spec", "location"), fieldColumn("Resolution", 0, "spec", "resolution")}
	case "workloadentries.networking.istio.io":
		middle = []column{fieldColumn("Address", 0, "spec", "address")}
	case "authorizationpolicies.security.istio.io":
		middle = []column{fieldColumn("Action", 0, "spec", "action")}
	case "peerauthentications.security.istio.io":
		middle = []column{fieldColumn("Mode", 0, "spec", "mtls", "mode")}
	}
	return slices.Concat([]column{nameColumn()}, middle, []column{ageColumn()}, wide)
}

// typed is an object as the Go type of its kind.
func typed[T any](o *stored) (t T) {
	_ = json.Unmarshal(o.json[o.kind.Versions[0]], &t) // our own encoding
	return t
}

func podReady(o *stored, _ time.Time) any {
	ready, containers := 0, typed[corev1.Pod](o).Status.ContainerStatuses
	for _, container := range containers {
		if container.Ready {
			ready++
		}
	}
	return fmt.Sprintf("%d/%d", ready, len(containers))
}

func podRestarts(o *stored, _ time.Time) any {
	restarts := int32(0)
	for _, container := range typed[corev1.Pod](o).Status.ContainerStatuses {
		restarts += container.RestartCount
	}
	return restarts
}

func servicePorts(o *stored, _ time.Time) any {
	var texts []string
	for _, port := range typed[corev1.Service](o).Spec.Ports {
		text := fmt.Sprint(port.Port)
		if port.NodePort > 0 {
			text += fmt.Sprintf(":%d", port.NodePort)
		}
		texts = append(texts, fmt.Sprintf("%s/%s", text, port.Protocol))
	}
	if len(texts) == 0 {
		return "<none>"
	}
	return strings.Join(texts, ",")
}

func serviceSelector(o *stored, _ time.Time) any {
	return labels.FormatLabels(typed[corev1.Service](o).Spec.Selector)
}

func deploymentReady(o *stored, _ time.Time) any {
	status := typed[appsv1.Deployment](o).Status
	return fmt.Sprintf("%d/%d", status.ReadyReplicas, status.Replicas)
}

// table returns objects as kubectl get requests them. Each row contains the object's metadata, or the
// whole object or nothing when the request's includeObject says so.
func (s *Server) table(q *request, found []*stored, version string) *metav1.Table {
	table := &metav1.Table{
		TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "Table"}, ListMeta: metav1.ListMeta{ResourceVersion: version},
		Rows: []metav1.TableRow{},
	}
	all := columns(q.kind)
	for _, c := range all {
		definition := metav1.TableColumnDefinition{Name: c.name, Type: "string", Format: c.form, Priority: c.priority}
		if c.form == "integer" {
			definition.Type, definition.Format = c.form, ""
		}
		table.ColumnDefinitions = append(table.ColumnDefinitions, definition)
	}
	for _, o := range found {
		var row metav1.TableRow
		for _, c := range all {
			row.Cells = append(row.Cells, c.cell(o, s.clock()))
		}
		switch q.includeObject {
		case "None":
		case "Object":
			row.Object.Raw = o.json[q.version]
		default:
			row.Object.Raw = metadataOf(o.json[q.version])
		}
		table.Rows = append(table.Rows, row)
	}
	return table
}
