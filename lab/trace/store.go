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
	maxSpans  = 1000     // of one trace, with events
	maxBytes  = 64 << 20 // of all spans, about
)

// slow is the duration from which a trace is kept longer than others.
const slow = 500 * time.Millisecond

// Store keeps the last traces. Failed, degraded and slow ones are kept longer: they may take up to three
// quarters of it. It is safe for concurrent use.
type Store struct {
	mu     sync.Mutex
	traces map[string]*kept
	order  *list.List // of *kept, in the order of their first spans
	plain  int        // traces that are not notable
	bytes  int
	gone   *lru.Cache // the IDs of the last traces that were evicted
}

// kept is a trace in a store.
type kept struct {
	id      string
	spans   []Span
	dropped int
	bytes   int
	notable bool    // failed, degraded or slow
	summary Summary // of the spans; the zero value after a change
}

// NewStore returns an empty store.
func NewStore() *Store {
	return &Store{traces: make(map[string]*kept), order: list.New(), gone: lru.New(maxTraces)}
}

// add adds spans of a trace, one at least. A span that is there already, as after a repeated export, is left out. So are
// the late spans of a trace that is no longer kept: alone they would show a wrong trace.
func (s *Store) add(id string, spans []Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.traces[id]
	if k == nil {
		if _, evicted := s.gone.Get(id); evicted {
			return
		}
		k = &kept{id: id}
		s.order.PushBack(k)
		s.traces[id] = k
		s.plain++
	}
	for _, span := range spans {
		switch {
		case slices.ContainsFunc(k.spans, func(other Span) bool { return other.ID == span.ID }):
		case len(k.spans) >= maxSpans:
			k.dropped++
		default:
			k.spans = append(k.spans, span)
			size := sizeOf(&span)
			k.bytes += size
			s.bytes += size
		}
	}
	k.summary = Summary{}
	s.judge(k)
	for len(s.traces) > maxTraces || s.bytes > maxBytes && len(s.traces) > 1 {
		s.evict()
	}
}

// judge sets whether a trace is notable. One that was notable remains so.
func (s *Store) judge(k *kept) {
	if k.notable {
		return
	}
	failed := func(span Span) bool { return span.Status == Failed || isFallback(&span) }
	if k.notable = time.Duration(k.summed().Duration) >= slow || slices.ContainsFunc(k.spans, failed); k.notable {
		s.plain--
	}
}

// evict removes the oldest trace of those that are not notable or, when these are at most a quarter of the
// limit, of the notable ones.
func (s *Store) evict() {
	notable := s.plain <= maxTraces/4
	at := s.order.Front()
	for next := at; next != nil; next = next.Next() {
		if next.Value.(*kept).notable == notable {
			at = next
			break
		}
	}
	k := s.order.Remove(at).(*kept)
	if !k.notable {
		s.plain--
	}
	s.bytes -= k.bytes
	delete(s.traces, k.id)
	s.gone.Add(k.id, nil)
}

// Filter selects traces. The zero value selects all.
type Filter struct {
	Limit   int    // of the result; 0: none
	Status  Status // empty: any
	Notable bool   // failed, degraded, slow, or with a failed attempt
}

// Recent returns the traces that a filter selects, the last one first. A trace may still grow, because
// services and proxies export their spans every second.
func (s *Store) Recent(f Filter) []Summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []Summary{}
	for _, k := range s.traces {
		if f.selects(k) {
			found = append(found, k.summed())
		}
	}
	slices.SortFunc(found, func(a, b Summary) int { return cmp.Or(b.Start.Compare(a.Start), cmp.Compare(a.ID, b.ID)) })
	if f.Limit > 0 && len(found) > f.Limit {
		found = found[:f.Limit]
	}
	return found
}

func (f Filter) selects(k *kept) bool {
	return (!f.Notable || k.notable) && (f.Status == "" || f.Status == k.summed().Status)
}

// Trace returns a trace by its ID.
func (s *Store) Trace(id string) (Trace, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.traces[id]
	if k == nil {
		return Trace{}, false
	}
	t := Trace{Summary: k.summed(), Spans: slices.Clone(k.spans), Dropped: k.dropped}
	slices.SortStableFunc(t.Spans, func(a, b Span) int { return a.Start.Compare(b.Start) })
	return t, true
}

// summed returns the summary of a trace.
func (k *kept) summed() Summary {
	if k.summary.ID != "" {
		return k.summary
	}
	root := k.root()
	sum := Summary{ID: k.id, Start: root.Start, Root: root.Service + " " + title(root), Status: root.Status, Count: len(k.spans)}
	end := root.end()
	for i := range k.spans {
		span := &k.spans[i]
		if span.Start.Before(sum.Start) {
			sum.Start = span.Start
		}
		if span.end().After(end) {
			end = span.end()
		}
		if isFallback(span) && sum.Status == OK {
			sum.Status = Degraded
		}
	}
	sum.Duration = Seconds(end.Sub(sum.Start))
	k.summary = sum
	return sum
}

// root returns the span without a parent or, when it has not arrived, the first one whose parent has not.
func (k *kept) root() *Span {
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
	if root == nil { // a circle, which no program makes
		return &k.spans[0]
	}
	return root
}
