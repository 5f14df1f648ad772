package kube

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// column is a column of kubectl's table. One with a priority above 0 is shown with -o wide alone.
type column struct {
	name, form string
	priority   int
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
func fieldColumn(name string, priority int, path ...string) column {
	return column{name: name, priority: priority, cell: func(o *stored, _ time.Time) any {
		var at any = map[string]any(o.object)
		for _, step := range path {
			at = mapOf(at)[step]
		}
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

func podReady(o *stored, _ time.Time) any {
	containers, _ := mapOf(o.object["status"])["containerStatuses"].([]any)
	ready := 0
	for _, container := range containers {
		if mapOf(container)["ready"] == true {
			ready++
		}
	}
	return fmt.Sprintf("%d/%d", ready, len(containers))
}

func podRestarts(o *stored, _ time.Time) any {
	containers, _ := mapOf(o.object["status"])["containerStatuses"].([]any)
	restarts := 0
	for _, container := range containers {
		count, _ := mapOf(container)["restartCount"].(float64)
		restarts += int(count)
	}
	return restarts
}

func servicePorts(o *stored, _ time.Time) any {
	ports, _ := mapOf(o.object["spec"])["ports"].([]any)
	var texts []string
	for _, port := range ports {
		p := mapOf(port)
		text := fmt.Sprint(p["port"])
		if node, ok := p["nodePort"].(float64); ok && node > 0 {
			text += fmt.Sprintf(":%v", node)
		}
		texts = append(texts, fmt.Sprintf("%s/%v", text, p["protocol"]))
	}
	if len(texts) == 0 {
		return "<none>"
	}
	return strings.Join(texts, ",")
}

func serviceSelector(o *stored, _ time.Time) any {
	var pairs []string
	for key, value := range mapOf(mapOf(o.object["spec"])["selector"]) {
		pairs = append(pairs, fmt.Sprintf("%s=%v", key, value))
	}
	if len(pairs) == 0 {
		return "<none>"
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}

func deploymentReady(o *stored, _ time.Time) any {
	status := mapOf(o.object["status"])
	return fmt.Sprintf("%v/%v", status["readyReplicas"], status["replicas"])
}

// table returns objects as a metav1.Table, which kubectl get requests. Each row contains the object's
// metadata, or the whole object or nothing when the request's includeObject says so.
func (s *Server) table(q *request, found []*stored, version string) map[string]any {
	all := columns(q.kind)
	var definitions []any
	for _, c := range all {
		form := c.form
		definition := map[string]any{"name": c.name, "type": "string", "format": "", "description": "", "priority": c.priority}
		if form == "integer" {
			definition["type"] = form
		} else {
			definition["format"] = form
		}
		definitions = append(definitions, definition)
	}
	rows := []any{}
	for _, o := range found {
		var cells []any
		for _, c := range all {
			cells = append(cells, c.cell(o, s.clock()))
		}
		row := map[string]any{"cells": cells}
		switch q.includeObject {
		case "None":
		case "Object":
			row["object"] = json.RawMessage(o.json[q.version])
		default:
			row["object"] = metadataOf(o.json[q.version])
		}
		rows = append(rows, row)
	}
	return map[string]any{
		"apiVersion": "meta.k8s.io/v1", "kind": "Table", "metadata": map[string]any{"resourceVersion": version},
		"columnDefinitions": definitions, "rows": rows,
	}
}
