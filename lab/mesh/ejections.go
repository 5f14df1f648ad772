package mesh

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/process"
)

// ejectionPoll is how often a proxy's log is read. Envoy flushes it every 200 ms.
const ejectionPoll = 200 * time.Millisecond

// watchEjections makes an event of each ejection and return by a proxy's outlier detection, with the
// times of Envoy's log.
func (m *Mesh) watchEjections(p *proxy) {
	file, err := os.Open(p.log.Name())
	if err != nil {
		m.site.Progress(fmt.Sprintf("read ejections of %s: %v", p.name, err))
		return
	}
	defer file.Close()
	var pending []byte // the beginning of a line that is not complete yet
	chunk := make([]byte, 64<<10)
	for {
		n, err := file.Read(chunk)
		pending = append(pending, chunk[:n]...)
		for {
			line, rest, whole := bytes.Cut(pending, []byte("\n"))
			if !whole {
				break
			}
			if ejection, ok := envoy.ParseEjection(line); ok {
				p.noteEjection(ejection)
				m.fleet.Note(m.event(p, ejection))
			}
			pending = rest
		}
		if err == nil {
			continue
		}
		if err != io.EOF {
			m.site.Progress(fmt.Sprintf("read ejections of %s: %v", p.name, err))
			return
		}
		if process.Sleep(p.running, ejectionPoll) != nil {
			return
		}
	}
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
