package main

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"fleetman.example/kit/fleet"
)

// history keeps the last reports of every vehicle. It is safe for concurrent use.
type history struct {
	limit int // reports of one vehicle

	mu     sync.RWMutex
	byName map[string]*vehicle
	sorted []*vehicle // by name
}

// vehicle holds one vehicle's reports by the sender's time, oldest first. That time also tells
// one report from another, so a report that comes twice is kept once, wherever it belongs.
type vehicle struct {
	name string

	mu      sync.RWMutex
	reports []report
}

type report struct {
	sent            int64 // the sender's time, ns since 1970
	received        int64 // ms since 1970
	lat, lng, speed fleet.Decimal
}

func newHistory(limit int) *history {
	return &history{limit: limit, byName: make(map[string]*vehicle)}
}

// add keeps p, which was received at the given time with the speed in it.
func (h *history) add(p fleet.Position, received time.Time) {
	r := report{p.Timestamp.UnixNano(), received.UnixMilli(), p.Lat, p.Lng, p.Speed}
	v, ok := h.find(p.Name)
	if !ok {
		v = h.begin(p.Name, r) // then r is seen below, unless another report began it meanwhile
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	at, seen := len(v.reports), false
	if at > 0 && r.sent <= v.reports[at-1].sent { // seldom: a report that came twice or late
		at, seen = slices.BinarySearchFunc(v.reports, r.sent, func(r report, sent int64) int { return cmp.Compare(r.sent, sent) })
	}
	if seen || at == 0 && len(v.reports) == h.limit {
		return
	}
	v.reports = slices.Insert(v.reports, at, r)
	if len(v.reports) > h.limit {
		v.reports[0] = report{}
		v.reports = v.reports[1:]
	}
}

// begin starts the history of a vehicle with its first report, so that no history is empty, or
// answers the one that was begun meanwhile.
func (h *history) begin(name string, first report) *vehicle {
	h.mu.Lock()
	defer h.mu.Unlock()
	if v, ok := h.byName[name]; ok {
		return v
	}
	v := &vehicle{name: name, reports: []report{first}}
	h.byName[name] = v
	at, _ := slices.BinarySearchFunc(h.sorted, name, func(v *vehicle, name string) int { return strings.Compare(v.name, name) })
	h.sorted = slices.Insert(slices.Clone(h.sorted), at, v) // readers hold the old one
	return v
}

func (h *history) find(name string) (*vehicle, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	v, ok := h.byName[name]
	return v, ok
}

// clear forgets everything.
func (h *history) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.byName, h.sorted = make(map[string]*vehicle), nil
}

// all answers every vehicle, by name.
func (h *history) all() []*vehicle {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.sorted
}

// latest answers the position that the vehicle sent last.
func (v *vehicle) latest() fleet.Position {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.position(v.reports[len(v.reports)-1])
}

// newestFirst answers every position kept.
func (v *vehicle) newestFirst() []fleet.Position {
	v.mu.RLock()
	defer v.mu.RUnlock()
	positions := make([]fleet.Position, 0, len(v.reports))
	for _, r := range slices.Backward(v.reports) {
		positions = append(positions, v.position(r))
	}
	return positions
}

// position is a report as the tracker answers it: with the time of receipt.
func (v *vehicle) position(r report) fleet.Position {
	return fleet.Position{Name: v.name, Lat: r.lat, Lng: r.lng, Timestamp: time.UnixMilli(r.received), Speed: r.speed}
}
