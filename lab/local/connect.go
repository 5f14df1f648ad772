package local

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// ConnectFault is a fault of the connections to a pod, below HTTP. The launcher
// makes it, in the pod's relay; see Options.Relays.
type ConnectFault struct {
	Kind  ConnectKind
	Delay time.Duration // of ConnectDelay
	Bytes int64         // of ConnectCut

	From  netip.Addr    // the caller's address; zero: any
	Rate  float64       // share of the connections
	Count int64         // the most connections; 0: no limit
	For   time.Duration // until it is cleared; 0: for ever

	text string
}

// ConnectKind is what a connection meets.
type ConnectKind string

// The kinds of faults of a connection.
const (
	ConnectRefuse ConnectKind = "refuse" // nothing listens
	ConnectDrop   ConnectKind = "drop"   // no answer to a SYN: the caller's connect timeout ends it
	ConnectHang   ConnectKind = "hang"   // accepted, and never answered
	ConnectDelay  ConnectKind = "delay"  // accepted, and passed on later
	ConnectCut    ConnectKind = "cut"    // reset after some bytes of what the pod sends
)

// IsConnect reports whether a rule is one of ParseConnect's, and not of a pod.
func IsConnect(rule string) bool {
	for field := range strings.SplitSeq(rule, ",") {
		if name, _, _ := strings.Cut(strings.TrimSpace(field), "="); name == "connect" {
			return true
		}
	}
	return false
}

// ParseConnect parses one rule: connect=refuse, connect=drop, connect=hang,
// connect=delay:2s or connect=cut:100, with for=D, and, unless it refuses or
// drops, from=ADDRESS, rate=R and count=N.
func ParseConnect(rule string) (ConnectFault, error) {
	f := ConnectFault{Rate: 1, text: strings.TrimSpace(rule)}
	if strings.Contains(rule, ";") {
		return f, fmt.Errorf("%.100s: must be one rule of connect for each pod", rule)
	}
	seen := map[string]bool{}
	for field := range strings.SplitSeq(rule, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		if seen[name] {
			return f, fmt.Errorf("%s: given twice: must be given once", name)
		}
		seen[name] = true
		if must := f.set(name, value); must != "" {
			return f, fmt.Errorf("%.60s: %.60q: must be %s", name, value, must)
		}
	}
	if f.Kind == ConnectRefuse || f.Kind == ConnectDrop {
		for _, name := range []string{"from", "rate", "count"} {
			if seen[name] {
				return f, fmt.Errorf("%s: with connect=%s: must be with hang, delay or cut: the kernel answers for all connections", name, f.Kind)
			}
		}
	}
	return f, nil
}

// set sets one field. It returns what the value must be if it is not that.
func (f *ConnectFault) set(name, value string) (must string) {
	var err error
	switch name {
	case "connect":
		if !f.setKind(value) {
			return "refuse, drop, hang, delay:D such as delay:2s, or cut:N such as cut:100"
		}
	case "from":
		if f.From, err = netip.ParseAddr(value); err != nil {
			return "the caller's address, such as 127.0.1.5"
		}
	case "rate":
		if f.Rate, err = strconv.ParseFloat(value, 64); err != nil || !(f.Rate >= 0 && f.Rate <= 1) {
			return "a share from 0 to 1"
		}
	case "count":
		if f.Count, err = strconv.ParseInt(value, 10, 64); err != nil || f.Count < 1 {
			return "a whole number from 1"
		}
	case "for":
		if f.For, err = time.ParseDuration(value); err != nil || f.For <= 0 {
			return "a duration such as 10s"
		}
	default:
		return "a field of a rule with connect: connect, from, rate, count, for"
	}
	return ""
}

func (f *ConnectFault) setKind(value string) (ok bool) {
	kind, detail, has := strings.Cut(value, ":")
	var err error
	switch f.Kind = ConnectKind(kind); f.Kind {
	case ConnectRefuse, ConnectDrop, ConnectHang:
		return !has
	case ConnectDelay:
		f.Delay, err = time.ParseDuration(detail)
		return err == nil && f.Delay > 0
	case ConnectCut:
		f.Bytes, err = strconv.ParseInt(detail, 10, 64)
		return err == nil && f.Bytes >= 0 && f.Bytes <= math.MaxInt32
	}
	return false
}

// ConnectState is the fault of a pod's connections, and its counts. The kernel
// refuses and drops: such connections are not counted.
type ConnectState struct {
	Rule    string `json:"rule"` // empty: none
	Matched int64  `json:"matched"`
	Fired   int64  `json:"fired"`
}

// SetConnect sets the fault of a pod's connections, nil for none. Connections
// that are open are reset: a caller that keeps its connections would not meet
// the fault.
func (f *Fleet) SetConnect(name string, fault *ConnectFault) (ConnectState, error) {
	p, err := f.find(name)
	if err != nil {
		return ConnectState{}, err
	}
	if fault == nil && (p.relay == nil || p.relay.state().Rule == "") {
		return ConnectState{}, nil
	}
	if p.relay == nil {
		return ConnectState{}, fmt.Errorf("pod %s: %s: must be a pod with a port, of a fleet with relays: fleetman up --relays", p.plan.ID, fault.text)
	}
	kind, detail := FaultCleared, "connections are passed on"
	if fault != nil {
		kind, detail = FaultSet, fault.text
	}
	if err := p.relay.set(fault); err != nil {
		return ConnectState{}, fmt.Errorf("pod %s: %w", p.plan.ID, err)
	}
	f.mu.Lock()
	f.note(p, kind, detail)
	f.mu.Unlock()
	return p.relay.state(), nil
}

// AddConnect adds the fault of a pod's connections to the pod's Faults, if there is one.
func (f *Fleet) AddConnect(pod *Pod) {
	connect, err := f.Connect(pod.Name)
	if err != nil || connect.Rule == "" {
		return
	}
	if pod.Faults != "" {
		pod.Faults += ";"
	}
	pod.Faults += connect.Rule
}

// Connect returns the fault of a pod's connections.
func (f *Fleet) Connect(name string) (ConnectState, error) {
	p, err := f.find(name)
	if err != nil || p.relay == nil {
		return ConnectState{}, err
	}
	return p.relay.state(), nil
}

// openRelays opens a relay for each port at the pod's address.
func (p *pod) openRelays() error {
	for port, target := range p.plan.relays() {
		opened, err := newRelay(p.plan.address(port), target)
		if err != nil {
			return fmt.Errorf("pod %s: port %d of its relay: %w", p.plan.ID, port, explainListen(err, p.plan.IP, "--network"))
		}
		p.relays = append(p.relays, opened)
		if port == p.plan.listen {
			p.relay = opened
		}
	}
	return nil
}

// relays are the ports at the pod's address and what listens for each: the
// program, or its proxy.
func (p *podPlan) relays() map[int]string {
	targets := map[int]string{}
	switch {
	case !p.relayed:
	case p.Proxied:
		for _, in := range p.Inbound {
			targets[in.Port] = netip.AddrPortFrom(p.Bind, uint16(in.Port)).String()
		}
	case p.listen != 0:
		targets[p.listen] = p.app.String()
	}
	return targets
}
