package trace

import (
	"cmp"
	"container/list"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/lru"
)

// The limits of a Store.
const (
	maxTraces = 1000
	maxSpans  = 1000     // of one trace; an event counts as a span
	maxBytes  = 64 << 20 // of all spans, as sizeOf estimates them
)

// slow is the minimum duration of a slow trace.
const slow = 500 * time.Millisecond

// Store keeps the last traces. Failed, degraded and slow traces are notable; all others are ordinary. A full store
// evicts ordinary traces first, until notable traces take three quarters of it. Store is safe for concurrent use.
type Store struct {
	mu       sync.Mutex
	traces   map[string]*storedTrace
	order    *list.List // of *storedTrace, in the order in which their first spans arrived
	ordinary int        // number of traces that are not notable
	bytes    int        // of all spans
	evicted  *lru.Cache // the IDs of the last evicted traces
}

// storedTrace is a trace in a Store.
type storedTrace struct {
	id      string
	spans   []Span
	dropped int     // number of spans over maxSpans
	bytes   int     // of the spans
	notable bool    // failed, degraded or slow
	summary Summary // the result of summarize; the zero value after a change of the spans
}

// NewStore returns an empty store.
func NewStore() *Store {
	return &Store{traces: make(map[string]*storedTrace), order: list.New(), evicted: lru.New(maxTraces)}
}

// add adds spans, at least one, to the trace with the ID id. It ignores a span that the trace already has, as after a
// repeated export. It also ignores late spans of an evicted trace, because without the others they would show a wrong
// trace.
func (s *Store) add(id string, spans []Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.traces[id]
	if k == nil {
		if _, found := s.evicted.Get(id); found {
			return
		}
		k = &storedTrace{id: id}
		s.order.PushBack(k)
		s.traces[id] = k
		s.ordinary++
	}
	for _, span := range spans {
		if slices.ContainsFunc(k.spans, func(other Span) bool { return other.ID == span.ID }) {
			continue
		}
		if len(k.spans) >= maxSpans {
			k.dropped++
			continue
		}
		k.spans = append(k.spans, span)
		size := sizeOf(&span)
		k.bytes += size
		s.bytes += size
	}
	k.summary = Summary{}
	s.updateNotable(k)
	for len(s.traces) > maxTraces || s.bytes > maxBytes && len(s.traces) > 1 {
		s.evict()
	}
}

// updateNotable marks a trace as notable if its spans make it so. A notable trace remains notable.
func (s *Store) updateNotable(k *storedTrace) {
	if k.notable {
		return
	}
	failedOrDegraded := func(span Span) bool { return span.Status == Failed || isFallback(&span) }
	if time.Duration(k.summarize().Duration) >= slow || slices.ContainsFunc(k.spans, failedOrDegraded) {
		k.notable = true
		s.ordinary--
	}
}

// evict removes the oldest ordinary trace or, when at most a quarter of maxTraces are ordinary, the oldest notable
// trace. If there is no trace of that kind, it removes the oldest of all.
func (s *Store) evict() {
	evictNotable := s.ordinary <= maxTraces/4
	oldest := s.order.Front()
	for e := oldest; e != nil; e = e.Next() {
		if e.Value.(*storedTrace).notable == evictNotable {
			oldest = e
			break
		}
	}
	k := s.order.Remove(oldest).(*storedTrace)
	if !k.notable {
		s.ordinary--
	}
	s.bytes -= k.bytes
	delete(s.traces, k.id)
	s.evicted.Add(k.id, nil)
}

// Filter selects traces. The zero value selects all.
type Filter struct {
	Limit   int    // maximum number of traces; 0: no limit
	Status  Status // of the trace; empty: any
	Notable bool   // only traces that are failed, degraded or slow, or that have a failed attempt
}

// Recent returns the traces that a filter selects. The trace that started last is the first one. A trace may still
// get spans, because services and proxies export them every second.
func (s *Store) Recent(f Filter) []Summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []Summary{}
	for _, k := range s.traces {
		if f.selects(k) {
			found = append(found, k.summarize())
		}
	}
	slices.SortFunc(found, func(a, b Summary) int { return cmp.Or(b.Start.Compare(a.Start), cmp.Compare(a.ID, b.ID)) })
	if f.Limit > 0 && len(found) > f.Limit {
		found = found[:f.Limit]
	}
	return found
}

func (f Filter) selects(k *storedTrace) bool {
	return (!f.Notable || k.notable) && (f.Status == "" || f.Status == k.summarize().Status)
}

// Trace returns the trace with the ID id. ok is false if the store does not have it.
func (s *Store) Trace(id string) (t Trace, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.traces[id]
	if k == nil {
		return Trace{}, false
	}
	t = Trace{Summary: k.summarize(), Spans: slices.Clone(k.spans), Dropped: k.dropped}
	slices.SortStableFunc(t.Spans, func(a, b Span) int { return a.Start.Compare(b.Start) })
	return t, true
}

// summarize returns the summary of a trace. It computes it once after each change of the spans.
func (k *storedTrace) summarize() Summary {
	if k.summary.ID != "" {
		return k.summary
	}
	root := k.root()
	summary := Summary{ID: k.id, Start: root.Start, Root: root.Service + " " + title(root), Status: root.Status, Count: len(k.spans)}
	end := root.end()
	for i := range k.spans {
		span := &k.spans[i]
		if span.Start.Before(summary.Start) {
			summary.Start = span.Start
		}
		if span.end().After(end) {
			end = span.end()
		}
		if isFallback(span) && summary.Status == OK {
			summary.Status = Degraded
		}
	}
	summary.Duration = Seconds(end.Sub(summary.Start))
	k.summary = summary
	return summary
}

// root returns the span that has no parent. If that span has not arrived, root returns the earliest span whose parent
// has not arrived.
func (k *storedTrace) root() *Span {
	ids := make(map[string]bool, len(k.spans))
	for i := range k.spans {
		ids[k.spans[i].ID] = true
	}
	var root *Span
	for i := range k.spans {
		span := &k.spans[i]
		if span.Parent == "" {
			return span
		}
		if !ids[span.Parent] && (root == nil || span.Start.Before(root.Start)) {
			root = span
		}
	}
	if root == nil { // the parents form a cycle, which no correct program sends
		return &k.spans[0]
	}
	return root
}
