package main

import (
	"context"
	"os"

	"fleetman.example/kit/server"
)

var run = server.Program("vehicle-telemetry", readConfig, serve)

func main() { os.Exit(server.Main(run)) }

func serve(ctx context.Context, cfg config, app *server.App) error {
	return app.Serve(ctx, api{windows: newWindows(cfg.maxVehicles), now: app.Now}.routes(app.Router))
}
