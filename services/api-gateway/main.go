package main

import (
	"net/http"
	"os"

	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

var run = server.Program("api-gateway", readConfig, build)

func main() { os.Exit(server.Main(run)) }

func build(cfg config, app server.App) (http.Handler, error) {
	cfg.upstream.State.Mount(app.Admin)
	return api{
		tracker: upstream.NewWithFallback("position-tracker", cfg.tracker, cfg.upstream, app.Observer, noVehicles),
		staff:   upstream.NewWithFallback("staff-service", cfg.staff, cfg.upstream, app.Observer, unknownDriver),
		now:     app.Now,
	}.routes(app.Router), nil
}
