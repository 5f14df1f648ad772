package local

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"
)

// EventKind is what happened to a pod.
type EventKind string

// The life of a pod, in the usual order.
const (
	Started     EventKind = "started"     // its process runs
	Ready       EventKind = "ready"       // it joined its Services' endpoints
	NotReady    EventKind = "notready"    // it left them
	Terminating EventKind = "terminating" // it is terminated
	Exited      EventKind = "exited"      // its process is gone
	Waiting     EventKind = "waiting"     // the next start is delayed, or the last one failed
	GivenUp     EventKind = "given up"    // it is not started again

	// Reported by its program: see package watch.
	FaultSet     EventKind = "fault set"
	FaultCleared EventKind = "fault cleared"
	Breaker      EventKind = "breaker" // one of its breakers changed

	// Reported by a proxy, about other pods.
	Ejected  EventKind = "ejected"  // its outlier detection ejected a pod
	Returned EventKind = "returned" // an ejected pod returned
	Retried  EventKind = "retried"  // it sent requests to some again
)

// Event is one change of one pod.
type Event struct {
	Time     time.Time `json:"time"`
	Pod      string    `json:"pod"`
	Kind     EventKind `json:"kind"`
	Detail   string    `json:"detail,omitempty"` // why, for people
	Restarts int       `json:"restarts"`
}

// maxEvents limits the memory of a fleet that runs for weeks.
const maxEvents = 10_000

// EventLog stores the last events for any number of readers.
type EventLog struct {
	mu      sync.Mutex
	events  []Event
	dropped int           // events forgotten at the front
	more    chan struct{} // closed, and replaced, at every event
	ended   bool
}

// NewEventLog returns an empty log.
func NewEventLog() *EventLog { return &EventLog{more: make(chan struct{})} }

// Add adds an event, unless the log has ended.
func (l *EventLog) Add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	if len(l.events) == maxEvents {
		l.events = slices.Clone(l.events[maxEvents/2:])
		l.dropped += maxEvents / 2
	}
	l.events = append(l.events, e)
	close(l.more)
	l.more = make(chan struct{})
}

func (l *EventLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.ended = true
		close(l.more)
	}
}

// since returns the events from number n on, the number after them, and a
// channel that is closed when there is more.
func (l *EventLog) since(n int) (events []Event, next int, more <-chan struct{}, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := max(n-l.dropped, 0)
	return slices.Clone(l.events[from:]), l.dropped + len(l.events), l.more, l.ended
}

// Note adds an event that another package has seen.
func (f *Fleet) Note(e Event) { f.events.Add(e) }

// Events yields the stored events, at least the last 5,000, then new ones, until the fleet has stopped or
// the context ends. A reader that falls far behind misses some.
func (f *Fleet) Events(ctx context.Context) iter.Seq[Event] { return f.events.All(ctx) }

// All yields the stored events, then new ones, until the log or the context ends.
func (l *EventLog) All(ctx context.Context) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for n := 0; ; {
			events, next, more, ended := l.since(n)
			for _, event := range events {
				if !yield(event) {
					return
				}
			}
			n = next
			if ended {
				return
			}
			select {
			case <-more:
			case <-ctx.Done():
				return
			}
		}
	}
}
