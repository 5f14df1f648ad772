package main

import (
	"context"
	"math/rand/v2"
	"os"
	"runtime/debug"

	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

var run = server.Program("position-simulator", readConfig, serve)

func main() { os.Exit(server.Main(run)) }

// serve sends the fleet's reports until ctx is done. The admin listener serves until the last report is
// answered; if it fails, serve stops and returns its error.
func serve(ctx context.Context, cfg config, app *server.App) error {
	seed := rand.Uint64()
	if cfg.seed != nil {
		seed = *cfg.seed
	}
	vehicles, err := newFleet(cfg.routes, cfg.fleetSize, seed)
	if err != nil {
		return err
	}
	app.Log.InfoContext(ctx, "fleet", "vehicles", len(vehicles), "tracks", len(cfg.routes), "seed", seed, "ignored_files", cfg.ignored)
	debug.FreeOSMemory() // parsing XML leaves more garbage than the size of the routes
	client := upstream.NewSet(cfg.upstream, app.Observer, app.Admin).New("position-tracker", cfg.tracker)
	rep := newReporter(app.Observer, client)
	driving, stop := context.WithCancel(ctx)
	defer stop()
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	served := make(chan error, 1)
	go func() {
		defer stop()
		served <- app.Serve(serving, nil)
	}()
	defer context.AfterFunc(driving, func() { app.Log.Info("draining") })()
	s := simulator{
		vehicles: vehicles, interval: cfg.interval, drain: cfg.DrainTimeout, send: rep.send, skipped: rep.skipped,
		forget: func(ctx context.Context, vehicle string) error { return forget(ctx, rep.failures, client.Do, vehicle) },
	}
	s.run(driving)
	rep.failures.end(ctx)
	stopServing()
	return <-served
}
