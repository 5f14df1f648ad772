package trace

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

const (
	maxQueued   = 256 // export requests
	maxTogether = 32  // export requests that are sent as one
	// reportEvery is the shortest time between two reports of failures.
	reportEvery = 10 * time.Second
)

// Forwarder sends spans to another collector. While that is slow or down, as many export requests as fit
// into the queue wait, and the rest is reported as lost.
type Forwarder struct {
	client   otlptrace.Client
	report   func(line string)
	queue    chan []*tracepb.ResourceSpans
	lost     atomic.Int64 // spans that did not fit
	stopping chan struct{}
	done     chan struct{}
	ctx      context.Context // of the uploads
	cancel   context.CancelFunc
}

// newForwarder starts a forwarder for a client that is not started. report is called at most every ten
// seconds with a line about spans that were lost.
func newForwarder(client otlptrace.Client, report func(line string)) (*Forwarder, error) {
	f := &Forwarder{
		client: client, report: report,
		queue: make(chan []*tracepb.ResourceSpans, maxQueued), stopping: make(chan struct{}), done: make(chan struct{}),
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	if err := client.Start(f.ctx); err != nil {
		f.cancel()
		return nil, fmt.Errorf("forward spans: %w", err)
	}
	go f.run()
	return f, nil
}

// Send queues the spans of an export request. It does not block.
func (f *Forwarder) Send(spans []*tracepb.ResourceSpans) {
	select {
	case f.queue <- spans:
	default:
		f.lost.Add(int64(count(spans)))
	}
}

// Close sends what is queued, until ctx ends, and stops.
func (f *Forwarder) Close(ctx context.Context) {
	close(f.stopping)
	defer context.AfterFunc(ctx, f.cancel)()
	<-f.done
	f.cancel()
	_ = f.client.Stop(ctx) // it has nothing left
}

func (f *Forwarder) run() {
	defer close(f.done)
	var reported time.Time
	why := ""
	report := func() {
		if lost := f.lost.Swap(0); lost > 0 {
			f.report(fmt.Sprintf("%d spans not forwarded: %.300s", lost, cmp.Or(why, "the collector is too slow")))
			reported, why = time.Now(), ""
		}
	}
	defer report()
	for {
		spans := f.next()
		if spans == nil {
			return
		}
		if err := f.client.UploadTraces(f.ctx, spans); err != nil {
			f.lost.Add(int64(count(spans)))
			why = err.Error()
		}
		if time.Since(reported) >= reportEvery {
			report()
		}
	}
}

// next returns the next spans to send, of several export requests if they are queued, or nil at the end.
func (f *Forwarder) next() (spans []*tracepb.ResourceSpans) {
	select {
	case spans = <-f.queue:
	default:
		select {
		case spans = <-f.queue:
		case <-f.stopping:
			return nil
		}
	}
	for range maxTogether {
		select {
		case more := <-f.queue:
			spans = append(spans, more...)
		default:
			return spans
		}
	}
	return spans
}

func count(resources []*tracepb.ResourceSpans) (n int) {
	for _, r := range resources {
		for _, scope := range r.GetScopeSpans() {
			n += len(scope.GetSpans())
		}
	}
	return n
}
