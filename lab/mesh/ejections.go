package mesh

import (
	"bytes"
	"fmt"
	"strings"

	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh/envoy"
)

// watchEjections makes an event of each ejection and return by a proxy's outlier detection, with the
// times of Envoy's log.
func (m *Mesh) watchEjections(p *proxy) {
	err := m.fleet.Logs(p.running, p.logName(), local.LogOptions{Follow: true}, lines(func(line []byte) {
		if ejection, ok := envoy.ParseEjection(line); ok {
			p.noteEjection(ejection)
			m.fleet.Note(m.event(p, ejection))
		}
	}))
	if err != nil {
		m.site.Progress(fmt.Sprintf("read ejections of %s: %v", p.name, err))
	}
}

// lines is called with each line of what is written to it, as whole lines.
type lines func(line []byte)

func (l lines) Write(text []byte) (int, error) {
	for line := range bytes.Lines(text) {
		l(line)
	}
	return len(text), nil
}

func (m *Mesh) event(p *proxy, e envoy.Ejection) local.Event {
	event := local.Event{Time: e.Time, Pod: p.name, Kind: local.Ejected}
	host := e.Host
	for _, pod := range m.site.Pods() {
		if strings.HasPrefix(e.Host, pod.IP.String()+":") {
			host = pod.ID + " (" + e.Host + ")"
		}
	}
	event.Detail = fmt.Sprintf("its proxy ejected %s from %s: %s, ejection %d of this host", host, e.Cluster, strings.ToLower(e.Type), e.Times)
	if e.Action == "UNEJECT" {
		event.Kind = local.Returned
		event.Detail = fmt.Sprintf("its proxy returned %s to %s", host, e.Cluster)
	}
	return event
}
