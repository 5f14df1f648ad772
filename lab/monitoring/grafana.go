package monitoring

import (
	"bytes"
	"encoding/json"
	"strings"
)

// only returns a row with the queries alone whose legend begins with a side: "library" or "mesh".
func only(row Row, side string) Row {
	part := Row{Title: strings.ToUpper(side[:1]) + side[1:] + ", policies"}
	for _, p := range row.Panels {
		var queries []Query
		for _, q := range p.Queries {
			if strings.HasPrefix(q.Legend, side) {
				queries = append(queries, q)
			}
		}
		if len(queries) > 0 {
			p.Queries = queries
			part.Panels = append(part.Panels, p)
		}
	}
	return part
}

// The grid of Grafana: 24 columns.
const (
	panelsInRow = 3
	panelWidth  = 24 / panelsInRow
	panelHeight = 8
)

// JSON returns the dashboard in Grafana's format.
func (b Board) JSON() ([]byte, error) {
	var panels []map[string]any
	add := func(panel map[string]any) {
		panel["id"] = len(panels) + 1
		panels = append(panels, panel)
	}
	y := 0
	for _, row := range b.Rows {
		add(map[string]any{"type": "row", "title": row.Title, "collapsed": false, "panels": []any{}, "gridPos": grid(0, y, 24, 1)})
		y++
		for i, p := range row.Panels {
			panel := p.graph()
			panel["gridPos"] = grid(i%panelsInRow*panelWidth, y+i/panelsInRow*panelHeight, panelWidth, panelHeight)
			add(panel)
		}
		y += (len(row.Panels) + panelsInRow - 1) / panelsInRow * panelHeight
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(map[string]any{
		"uid": "fleetman-" + b.File, "title": "fleetman: " + b.Title, "description": b.About, "tags": []string{"fleetman"},
		"schemaVersion": 39, "version": 1, "editable": true, "graphTooltip": 1, "timezone": "browser",
		"time": map[string]any{"from": "now-15m", "to": "now"}, "refresh": "5s", "panels": panels,
		"templating": map[string]any{"list": []any{map[string]any{
			"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": map[string]any{}, "hide": 0,
		}}},
	})
	return text.Bytes(), err
}

func grid(x, y, w, h int) map[string]int { return map[string]int{"x": x, "y": y, "w": w, "h": h} }

func (p Panel) graph() map[string]any {
	source := map[string]any{"type": "prometheus", "uid": "${source}"}
	var targets []map[string]any
	for i, q := range p.Queries {
		targets = append(targets, map[string]any{
			"refId": string(rune('A' + i)), "datasource": source, "expr": q.Expr, "legendFormat": q.Legend, "range": true, "editorMode": "code",
		})
	}
	return map[string]any{
		"type": "timeseries", "title": p.Title, "description": p.About, "datasource": source, "targets": targets,
		"fieldConfig": map[string]any{"defaults": map[string]any{"unit": p.Unit, "min": 0, "custom": map[string]any{"fillOpacity": 10, "lineWidth": 1}}, "overrides": []any{}},
		"options":     map[string]any{"legend": map[string]any{"displayMode": "list", "placement": "bottom"}, "tooltip": map[string]any{"mode": "multi", "sort": "desc"}},
	}
}
