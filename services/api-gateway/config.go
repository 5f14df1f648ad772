package main

import (
	"net/url"

	"fleetman.example/kit/env"
	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

type config struct {
	server.Config
	upstream       upstream.Config
	tracker, staff *url.URL
}

func readConfig(r *env.Reader) config {
	cfg := config{
		Config:   server.ReadConfig(r, ":8080"),
		upstream: upstream.ReadConfig(r),
		tracker:  r.URL("POSITION_TRACKER_URL", "http://fleetman-position-tracker:8080", "address of position-tracker"),
		staff:    r.URL("STAFF_SERVICE_URL", "http://fleetman-staff-service:8080", "address of staff-service"),
	}
	cfg.DrainTimeout = server.ReadDrainTimeout(r, 1, cfg.upstream.Timeout)
	return cfg
}
