package main

import (
	"log/slog"
	"net/url"

	"fleetman.example/kit/env"
	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

type config struct {
	Server         server.Config
	upstream       upstream.Config
	tracker, staff *url.URL
	effective      slog.LogValuer // for one log line
	table          string         // for the README
}

// readConfig reads the whole configuration; its error names every bad variable.
func readConfig(getenv func(string) string) (config, error) {
	r := env.New(getenv)
	cfg := config{
		Server:   server.ReadConfig(r, ":8080"),
		upstream: upstream.ReadConfig(r),
		tracker:  r.URL("POSITION_TRACKER_URL", "http://fleetman-position-tracker:8080", "where position-tracker is"),
		staff:    r.URL("STAFF_SERVICE_URL", "http://fleetman-staff-service:8080", "where staff-service is"),
	}
	cfg.Server.DrainTimeout = server.ReadDrainTimeout(r, 1, cfg.upstream.Timeout)
	cfg.upstream.State.Mount(cfg.Server.Admin)
	cfg.effective, cfg.table = r, r.Table()
	return cfg, r.Err()
}
