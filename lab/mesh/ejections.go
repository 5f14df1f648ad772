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
)

// ejectionPoll is how often a proxy's log is looked at; Envoy writes it every
// 200 ms.
const ejectionPoll = 200 * time.Millisecond

// watchEjections makes events of the hosts that a proxy's outlier detection
// shuts out and lets in again, with Envoy's own times.
func (m *Mesh) watchEjections(p *proxy) {
	file, err := os.Open(p.log.Name())
	if err != nil {
		m.site.Progress(fmt.Sprintf("ejections by %s are not shown: %v", p.name, err))
		return
	}
	defer file.Close()
	var pending []byte // a line whose end is not written yet
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
				m.site.Event(m.event(p, ejection))
			}
			pending = rest
		}
		if err == nil {
			continue
		}
		if err != io.EOF {
			m.site.Progress(fmt.Sprintf("ejections by %s are not shown any more: %v", p.name, err))
			return
		}
		select {
		case <-time.After(ejectionPoll):
		case <-m.stopping.Done():
			return
		}
	}
}

func (m *Mesh) event(p *proxy, e envoy.Ejection) local.Event {
	event := local.Event{Time: e.Time, Pod: p.name, Kind: local.Ejected}
	host := e.Host
	for i := range m.site.Pods {
		if pod := &m.site.Pods[i]; strings.HasPrefix(e.Host, pod.IP.String()+":") {
			host = pod.ID + " (" + e.Host + ")"
		}
	}
	event.Detail = fmt.Sprintf("its proxy shuts %s out of %s: %s, for the %d. time", host, e.Cluster, strings.ToLower(e.Type), e.Times)
	if e.Action == "UNEJECT" {
		event.Kind = local.Returned
		event.Detail = fmt.Sprintf("its proxy lets %s into %s again", host, e.Cluster)
	}
	return event
}
