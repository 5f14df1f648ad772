package main

import (
	"context"
	"os"

	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

var run = server.Program("staff-service", readConfig, serve)

func main() { os.Exit(server.Main(run)) }

func serve(ctx context.Context, cfg config, app *server.App) error {
	upstreams := upstream.NewSet(cfg.upstream, app.Observer, app.Admin)
	api := api{roster: cfg.staff(), photoBase: cfg.photoBase, log: app.Log}
	if cfg.monitoring != nil {
		api.monitoring = upstreams.New("driver-monitoring", cfg.monitoring)
	}
	return app.Serve(ctx, api.routes(app.Router))
}
