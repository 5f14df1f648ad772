package main

import (
	"log/slog"
	"net/url"

	"fleetman.example/kit/env"
	"fleetman.example/kit/fleet"
	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

type config struct {
	Server           server.Config
	upstream         upstream.Config
	telemetry, staff *url.URL
	limits           limits
	effective        slog.LogValuer // for one log line
	table            string         // for the README
}

// readConfig reads the whole configuration; its error names every bad variable.
func readConfig(getenv func(string) string) (config, error) {
	r := env.New(getenv)
	cfg := config{
		Server:    server.ReadConfig(r, ":8080"),
		upstream:  upstream.ReadConfig(r),
		telemetry: r.URL("VEHICLE_TELEMETRY_URL", "http://fleetman-vehicle-telemetry:8080", "where vehicle-telemetry is"),
		staff:     r.URL("STAFF_SERVICE_URL", "http://fleetman-staff-service:8080", "where staff-service is"),
		limits: limits{
			vehicles: fleet.ReadMaxVehicles(r),
			reports:  r.Int("HISTORY_LIMIT", 2000, 1, 1_000_000, "reports kept of a vehicle; the oldest go first"),
			total:    r.Int64("HISTORY_TOTAL", 500_000, 1, 100_000_000, "reports kept of all vehicles; where there are as many, a report takes the place of its vehicle's oldest"),
		},
	}
	cfg.upstream.Optional = true // a report is taken without them, where FALLBACK is on
	cfg.Server.DrainTimeout = server.ReadDrainTimeout(r, callsOfReport, cfg.upstream.Timeout)
	cfg.upstream.State.Mount(cfg.Server.Admin)
	cfg.effective, cfg.table = r, r.Table()
	return cfg, r.Err()
}
