package main

import (
	"context"
	"os"

	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

var run = server.Program("position-tracker", readConfig, serve)

func main() { os.Exit(server.Main(run)) }

func serve(ctx context.Context, cfg config, app *server.App) error {
	upstreams := upstream.NewSet(cfg.upstream, app.Observer, app.Admin)
	return app.Serve(ctx, api{
		history:   newHistory(cfg.limits),
		fallback:  cfg.upstream.Fallback,
		telemetry: upstreams.New("vehicle-telemetry", cfg.telemetry),
		staff:     upstreams.New("staff-service", cfg.staff),
		log:       app.Log,
		now:       app.Now,
	}.routes(app.Router))
}
