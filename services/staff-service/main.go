package main

import (
	"net/http"
	"os"

	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

var run = server.Program("staff-service", readConfig, build)

func main() { os.Exit(server.Main(run)) }

func build(cfg config, app server.App) (http.Handler, error) {
	cfg.upstream.State.Mount(app.Admin)
	api := api{roster: cfg.staff(), photoBase: cfg.photoBase, log: app.Log}
	if cfg.monitoring != nil {
		api.monitoring = upstream.New("driver-monitoring", cfg.monitoring, cfg.upstream, app.Observer)
	}
	return api.routes(app.Router), nil
}
