package main

import (
	"net/url"

	"fleetman.example/kit/env"
	"fleetman.example/kit/fleet"
	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

type config struct {
	server.Config
	upstream         upstream.Config
	telemetry, staff *url.URL
	limits           limits
}

// readConfig reads the whole configuration.
func readConfig(r *env.Reader) config {
	cfg := config{
		Config:    server.ReadConfig(r, ":8080"),
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
	cfg.DrainTimeout = server.ReadDrainTimeout(r, callsOfReport, cfg.upstream.Timeout)
	return cfg
}
