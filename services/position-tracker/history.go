package main

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fleetman.example/kit/fleet"
)

// history stores the last reports of every vehicle. It is safe for concurrent use.
type history struct {
	limits limits
	kept   atomic.Int64 // reports of all vehicles

	mu     sync.RWMutex
	byName map[string]*vehicle
	sorted []*vehicle // by name; nil after a change, until all sorts it again
}

// limits bound a history's memory.
type limits struct {
	vehicles int
	reports  int   // of one vehicle
	total    int64 // reports of all vehicles
}

// vehicle has one vehicle's reports, sorted by the sender's time, oldest first. The time identifies a
// report: a report that is received twice is stored once.
type vehicle struct {
	name string

	mu        sync.RWMutex
	reports   []report
	forgotten bool // removed from history's lists
}

// forget marks v as forgotten and returns the number of its reports.
func (v *vehicle) forget() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.forgotten = true
	return int64(len(v.reports))
}

type report struct {
	sent            int64 // the sender's time, ns since 1970
	received        int64 // ms since 1970
	lat, lng, speed fleet.Decimal
}

func newHistory(l limits) *history {
	return &history{limits: l, byName: make(map[string]*vehicle)}
}

// add stores p, which was received at the given time. A report without the sender's timestamp is always
// stored, even if another one was received in the same nanosecond.
func (h *history) add(p fleet.Position, received time.Time) error {
	r, stamped := report{p.Timestamp.UnixNano(), received.UnixMilli(), p.Lat, p.Lng, p.Speed}, true
	if p.Timestamp.IsZero() {
		r.sent, stamped = received.UnixNano(), false
	}
	for {
		v, ok := h.find(p.Name)
		if !ok {
			if began, err := h.begin(p.Name, r); began || err != nil {
				return err
			}
			continue
		}
		if h.insert(v, r, stamped) {
			return nil
		}
	}
}

// insert inserts r by its time. It returns false if v has been forgotten meanwhile.
func (h *history) insert(v *vehicle, r report, stamped bool) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.forgotten {
		return false
	}
	at, seen := len(v.reports), false
	if at > 0 && r.sent <= v.reports[at-1].sent { // rare: a repeated or late report
		at, seen = slices.BinarySearchFunc(v.reports, r.sent, func(r report, sent int64) int { return cmp.Compare(r.sent, sent) })
	}
	for ; seen && !stamped; at++ { // find the next free nanosecond
		r.sent++
		seen = at+1 < len(v.reports) && v.reports[at+1].sent == r.sent
	}
	full := len(v.reports) >= h.limits.reports || h.kept.Load() >= h.limits.total
	if seen || at == 0 && full {
		return true
	}
	v.reports = slices.Insert(v.reports, at, r)
	if !full {
		h.kept.Add(1)
		return true
	}
	v.reports[0] = report{}
	v.reports = v.reports[1:]
	return true
}

// begin adds a vehicle with its first report, so that no vehicle is without reports. It returns false if
// another report has added the vehicle meanwhile.
func (h *history) begin(name string, first report) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.byName[name]; ok {
		return false, nil
	}
	if len(h.byName) >= h.limits.vehicles {
		return false, fleet.TooManyVehicles(name, h.limits.vehicles)
	}
	v := &vehicle{name: name, reports: []report{first}}
	h.byName[name] = v
	h.sorted = nil // a report's work must not grow with the number of vehicles
	h.kept.Add(1)
	return true, nil
}

func (h *history) find(name string) (*vehicle, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	v, ok := h.byName[name]
	return v, ok
}

// clear removes all vehicles.
func (h *history) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range h.byName {
		h.kept.Add(-v.forget())
	}
	h.byName, h.sorted = make(map[string]*vehicle), nil
}

// remove removes one vehicle, if known.
func (h *history) remove(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	v, ok := h.byName[name]
	if !ok {
		return
	}
	delete(h.byName, name)
	h.sorted = nil
	h.kept.Add(-v.forget())
}

// all returns every vehicle, sorted by name. The slice must not be modified: other callers have it too.
func (h *history) all() []*vehicle {
	h.mu.RLock()
	sorted := h.sorted
	h.mu.RUnlock()
	if sorted != nil {
		return sorted
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sorted == nil {
		h.sorted = slices.SortedFunc(maps.Values(h.byName), func(a, b *vehicle) int { return strings.Compare(a.name, b.name) })
	}
	return h.sorted
}

// latest returns the position with the latest time of the sender.
func (v *vehicle) latest() fleet.Position {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.position(v.reports[len(v.reports)-1])
}

// newestFirst returns all positions, newest first.
func (v *vehicle) newestFirst() []fleet.Position {
	v.mu.RLock()
	defer v.mu.RUnlock()
	positions := make([]fleet.Position, 0, len(v.reports))
	for _, r := range slices.Backward(v.reports) {
		positions = append(positions, v.position(r))
	}
	return positions
}

// position returns the position of a report, with the time of receipt.
func (v *vehicle) position(r report) fleet.Position {
	return fleet.Position{Name: v.name, Lat: r.lat, Lng: r.lng, Timestamp: time.UnixMilli(r.received), Speed: r.speed}
}
