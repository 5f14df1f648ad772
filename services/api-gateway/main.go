package main

import (
	"context"
	"os"

	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

var run = server.Program("api-gateway", readConfig, serve)

func main() { os.Exit(server.Main(run)) }

func serve(ctx context.Context, cfg config, app *server.App) error {
	upstreams := upstream.NewSet(cfg.upstream, app.Observer, app.Admin)
	return app.Serve(ctx, api{
		tracker: upstreams.NewWithFallback("position-tracker", cfg.tracker, noVehicles),
		staff:   upstreams.NewWithFallback("staff-service", cfg.staff, unknownDriver),
		now:     app.Now,
	}.routes(app.Router))
}
