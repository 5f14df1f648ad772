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

func readConfig(r *env.Reader) config {
	cfg := config{
		Config:    server.ReadConfig(r, ":8080"),
		upstream:  upstream.ReadConfig(r),
		telemetry: r.URL("VEHICLE_TELEMETRY_URL", "http://fleetman-vehicle-telemetry:8080", "address of vehicle-telemetry"),
		staff:     r.URL("STAFF_SERVICE_URL", "http://fleetman-staff-service:8080", "address of staff-service"),
		limits: limits{
			vehicles: fleet.ReadMaxVehicles(r),
			reports:  r.Int("HISTORY_LIMIT", 2000, 1, 1_000_000, "reports kept per vehicle; the oldest are removed first"),
			total:    r.Int64("HISTORY_TOTAL", 500_000, 1, 100_000_000, "reports kept of all vehicles; above it, a report replaces the oldest one of its vehicle"),
		},
	}
	cfg.upstream.Optional = true // with FALLBACK on, a report is accepted without its upstreams
	cfg.DrainTimeout = server.ReadDrainTimeout(r, callsOfReport, cfg.upstream.Timeout)
	return cfg
}
