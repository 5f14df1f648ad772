package main

import (
	"net/http"
	"os"

	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

var run = server.Program("position-tracker", readConfig, build)

func main() { os.Exit(server.Main(run)) }

func build(cfg config, app server.App) (http.Handler, error) {
	cfg.upstream.State.Mount(app.Admin)
	return api{
		history:   newHistory(cfg.limits),
		fallback:  cfg.upstream.Fallback,
		telemetry: upstream.New("vehicle-telemetry", cfg.telemetry, cfg.upstream, app.Observer),
		staff:     upstream.New("staff-service", cfg.staff, cfg.upstream, app.Observer),
		log:       app.Log,
		now:       app.Now,
	}.routes(app.Router), nil
}
