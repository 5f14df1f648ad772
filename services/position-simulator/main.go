package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime/debug"

	"fleetman.example/kit/env"
	"fleetman.example/kit/observe"
	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

const name = "position-simulator"

func main() { os.Exit(server.Main(run)) }

func run(ctx context.Context, args []string, getenv func(string) string, stdout, _ io.Writer) (err error) {
	if len(args) > 0 {
		return fmt.Errorf("arguments: %q: must be none: %s is configured by its environment", args, name)
	}
	r := env.New(getenv)
	cfg := readConfig(r, rand.Uint64())
	if err := r.Err(); err != nil {
		return err
	}
	o, err := observe.Start(ctx, name, getenv, stdout)
	if err != nil {
		return err
	}
	defer o.Flush(ctx)
	o.Log.InfoContext(ctx, "configuration", "env", r)
	vehicles, err := newFleet(cfg.routes, cfg.fleetSize, cfg.seed)
	if err != nil {
		return err
	}
	o.Log.InfoContext(ctx, "fleet", "vehicles", len(vehicles), "tracks", len(cfg.routes), "seed", cfg.seed, "ignored_files", cfg.ignored)
	debug.FreeOSMemory() // parsing XML leaves more garbage than the size of the routes
	return drive(ctx, cfg, o, vehicles)
}

// drive sends the fleet's reports until ctx is done. The admin listener serves until the last report is
// answered; if it fails, drive stops and returns its error.
func drive(ctx context.Context, cfg config, o *observe.Observer, vehicles []*vehicle) error {
	cfg.upstream.State.Mount(cfg.server.Admin)
	client := upstream.New("position-tracker", cfg.tracker, cfg.upstream, o)
	rep, err := newReporter(o, client)
	if err != nil {
		return err
	}
	driving, stop := context.WithCancel(ctx)
	defer stop()
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	served := make(chan error, 1)
	go func() {
		defer stop()
		served <- server.Run(serving, cfg.server, o, nil)
	}()
	defer context.AfterFunc(driving, func() { o.Log.Info("draining") })()
	s := simulator{
		vehicles: vehicles, interval: cfg.interval, drain: cfg.server.DrainTimeout, send: rep.send, skipped: rep.skipped,
		forget: func(ctx context.Context, vehicle string) error { return forget(ctx, rep.failures, client.Do, vehicle) },
	}
	s.run(driving)
	rep.failures.end(ctx)
	stopServing()
	return <-served
}
