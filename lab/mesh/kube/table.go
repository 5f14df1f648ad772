package kube

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/duration"
)

// column is a column of kubectl's table. One with a priority above 0 is shown with -o wide alone.
type column struct {
	name, form string
	priority   int32
	cell       func(o *stored, now time.Time) any
}

var nameColumn = column{name: "Name", form: "name", cell: func(o *stored, _ time.Time) any { return o.name }}

var ageColumn = column{name: "Age", cell: func(o *stored, now time.Time) any {
	created, err := time.Parse(time.RFC3339, o.text("metadata", "creationTimestamp"))
	if err != nil {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(created))
}}

// fieldColumn returns a column of a field, like an entry of a CRD's additionalPrinterColumns.
func fieldColumn(name string, path ...string) column {
	return column{name: name, cell: func(o *stored, _ time.Time) any {
		switch value := field[any](o.object, path...).(type) {
		case nil:
			return ""
		case []any, map[string]any: // the API server shows them as JSON
			text, _ := json.Marshal(value)
			return string(text)
		default:
			return fmt.Sprint(value)
		}
	}}
}

// wide returns a column that is shown with -o wide alone, after the age.
func wide(c column) column {
	c.priority = 1
	return c
}

// columnsOf has the columns between name and age: those of a cluster's API server for the common kinds, and
// those of Istio's CRDs.
var columnsOf = map[string][]column{
	"pods.": {
		{name: "Ready", cell: podReady},
		fieldColumn("Status", "status", "phase"),
		{name: "Restarts", form: "integer", cell: podRestarts},
		wide(fieldColumn("IP", "status", "podIP")), wide(fieldColumn("Node", "spec", "nodeName")),
	},
	"services.": {
		fieldColumn("Type", "spec", "type"), fieldColumn("Cluster-IP", "spec", "clusterIP"),
		{name: "External-IP", cell: func(*stored, time.Time) any { return "<none>" }},
		{name: "Port(s)", cell: servicePorts},
		wide(column{name: "Selector", cell: serviceSelector}),
	},
	"deployments.apps":                        {{name: "Ready", cell: deploymentReady}, fieldColumn("Up-to-date", "status", "updatedReplicas"), fieldColumn("Available", "status", "availableReplicas")},
	"virtualservices.networking.istio.io":     {fieldColumn("Gateways", "spec", "gateways"), fieldColumn("Hosts", "spec", "hosts")},
	"destinationrules.networking.istio.io":    {fieldColumn("Host", "spec", "host")},
	"serviceentries.networking.istio.io":      {fieldColumn("Hosts", "spec", "hosts"), fieldColumn("Location", "spec", "location"), fieldColumn("Resolution", "spec", "resolution")},
	"workloadentries.networking.istio.io":     {fieldColumn("Address", "spec", "address")},
	"authorizationpolicies.security.istio.io": {fieldColumn("Action", "spec", "action")},
	"peerauthentications.security.istio.io":   {fieldColumn("Mode", "spec", "mtls", "mode")},
}

// columns returns a kind's columns.
func columns(kind *Kind) []column {
	all := slices.Concat([]column{nameColumn}, columnsOf[kind.key()], []column{ageColumn})
	slices.SortStableFunc(all, func(a, b column) int { return cmp.Compare(a.priority, b.priority) })
	return all
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
