package main

import (
	"net/http"
	"os"

	"fleetman.example/kit/server"
)

var run = server.Program("vehicle-telemetry", readConfig, build)

func main() { os.Exit(server.Main(run)) }

func build(cfg config, app server.App) (http.Handler, error) {
	return api{windows: newWindows(cfg.maxVehicles), now: app.Now}.routes(app.Router), nil
}
