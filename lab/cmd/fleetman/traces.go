package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"fleetman.example/lab/local"
	"fleetman.example/lab/process"
	"fleetman.example/lab/trace"
	"fleetman.example/lab/usage"
)

// traces receives the spans of a fleet.
type traces struct {
	store   *trace.Store // nil: none are received
	server  *http.Server
	forward *trace.Forwarder // nil: none
	off     string           // why none are received
}

// receiveTraces starts a receiver, and changes the options so that the fleet's programs and proxies send
// their spans to it. A user's OTEL_EXPORTER_OTLP_ENDPOINT gets them from there.
func receiveTraces(options *local.Options) (*traces, error) {
	choice, err := trace.Choose(process.Getenv(options.Environ))
	if err != nil {
		return nil, usage.Error{Err: err}
	}
	if choice.Off != "" {
		options.Progress("the console shows no traces: " + choice.Off)
		return &traces{off: choice.Off}, nil
	}
	t := &traces{store: trace.NewStore()}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("receiver of traces: %w", err)
	}
	if t.forward, err = choice.Forwarder(options.Progress); err != nil {
		listener.Close()
		return nil, err
	}
	t.server = &http.Server{Handler: trace.NewReceiver(t.store, t.forward), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
	go func() { _ = t.server.Serve(listener) }()
	options.Environ = trace.Environ(options.Environ, "http://"+listener.Addr().String())
	return t, nil
}

// handlers are those of the console's page.
func (t *traces) handlers() map[string]http.Handler {
	if t.store == nil {
		return nil
	}
	return t.store.Handlers()
}

// Close receives the spans of requests in flight and stops, after the fleet has stopped.
func (t *traces) Close() {
	if t.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = t.server.Shutdown(ctx)
	t.server.Close()
	if t.forward != nil {
		t.forward.Close(ctx)
	}
}
