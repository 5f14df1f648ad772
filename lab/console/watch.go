package console

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"fleetman.example/lab/local"
)

const (
	// every is the time between two readings.
	every = time.Second
	// kept is the length of the strips.
	kept = 5 * time.Minute
	// loadGrace is how long the load goes on without a page, such as while it is loaded again.
	loadGrace = 5 * time.Second
	// keptEvents is the largest number of events that a page gets when it opens.
	keptEvents = 500
)

// watcher reads the source while somebody watches.
type watcher struct {
	source Source
	load   *generator

	mu       sync.Mutex
	watchers map[chan []byte]bool
	stop     context.CancelFunc // of the loop, nil while nobody watches
	stopped  chan struct{}      // closed at the loop's end
	points   []Point
	events   []local.Event // the last ones that are in a state
	pending  []local.Event // for the next state
	last     *State
}

// opening is the first message to a page: what it has missed.
type opening struct {
	Points []Point       `json:"points"`
	Events []local.Event `json:"events"`
	State  *State        `json:"state,omitempty"`
}

func newWatcher(source Source, load *generator) *watcher {
	return &watcher{source: source, load: load, watchers: map[chan []byte]bool{}}
}

// watch returns a channel with a message for each state, the opening first, and a function that ends it.
// A slow watcher misses messages.
func (w *watcher) watch() (messages <-chan []byte, end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	channel := make(chan []byte, 4)
	channel <- encode("opening", opening{w.points, w.events, w.last})
	w.watchers[channel] = true
	if w.stop == nil {
		ctx, cancel := context.WithCancel(context.Background())
		w.stop, w.stopped = cancel, make(chan struct{})
		go w.run(ctx, w.stopped)
	}
	return channel, func() { w.leave(channel) }
}

// leave ends the loop with the last watcher.
func (w *watcher) leave(channel chan []byte) {
	w.mu.Lock()
	delete(w.watchers, channel)
	stop, stopped := w.stop, w.stopped
	if len(w.watchers) > 0 || stop == nil {
		w.mu.Unlock()
		return
	}
	w.stop, w.last = nil, nil
	w.mu.Unlock()
	stop()
	<-stopped
	time.AfterFunc(loadGrace, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.watchers) == 0 {
			w.load.end()
		}
	})
}

// run reads the source once a second until ctx ends.
func (w *watcher) run(ctx context.Context, stopped chan struct{}) {
	defer close(stopped)
	w.mu.Lock()
	w.events, w.pending = nil, nil // Events begins with the first one
	w.mu.Unlock()
	var following sync.WaitGroup
	defer following.Wait()
	following.Go(func() { w.follow(ctx) })
	v := newView()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		w.read(ctx, v)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// follow collects the events.
func (w *watcher) follow(ctx context.Context) {
	for event := range w.source.Events(ctx) {
		w.mu.Lock()
		w.pending = lastOf(append(w.pending, event))
		w.mu.Unlock()
	}
}

// read makes a state of a reading and sends it to all watchers.
func (w *watcher) read(ctx context.Context, v *view) {
	limited, cancel := context.WithTimeout(ctx, w.source.Patience())
	defer cancel()
	reading, err := w.source.Read(limited)
	if ctx.Err() != nil {
		return
	}
	if err != nil { // the next one may succeed
		w.mu.Lock()
		defer w.mu.Unlock()
		w.send(encode("problem", map[string]string{"error": err.Error()}))
		return
	}
	state := v.state(reading)
	w.load.take(state)

	w.mu.Lock()
	defer w.mu.Unlock()
	state.Events, w.pending = append([]local.Event{}, w.pending...), nil
	w.events = lastOf(append(w.events, state.Events...))
	w.points = append(w.points, state.Point)
	for len(w.points) > 0 && state.Time.Sub(w.points[0].Time) > kept {
		w.points = w.points[1:]
	}
	w.last = state
	w.send(encode("state", state))
}

// send sends a message to all watchers, with the lock held.
func (w *watcher) send(message []byte) {
	for channel := range w.watchers {
		select {
		case channel <- message:
		default:
		}
	}
}

// lastOf returns the last keptEvents events. Whoever appends to them copies them alone, once in a while.
func lastOf(events []local.Event) []local.Event { return events[max(0, len(events)-keptEvents):] }

// encode returns a server-sent event.
func encode(name string, value any) []byte {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err) // a NaN: a defect of view
	}
	return append(append([]byte("event: "+name+"\ndata: "), data...), "\n\n"...)
}
