package main

import (
	"net/url"
	"strconv"
	"time"

	"fleetman.example/kit/env"
	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

type config struct {
	server.Config
	upstream  upstream.Config
	tracker   *url.URL
	routes    []*route
	ignored   []string // files in TRACKS_DIR that are not tracks
	fleetSize int
	interval  time.Duration
	seed      *uint64 // nil: a random one
}

// readConfig reads the configuration, with the tracks, so that all errors are reported at once.
func readConfig(r *env.Reader) config {
	cfg := config{tracker: r.URL("POSITION_TRACKER_URL", "http://fleetman-position-tracker:8080", "address of position-tracker")}
	dir := r.String("TRACKS_DIR", "", "directory of the tracks, see Tracks; if unset, the five routes that are part of the program")
	var err error
	if cfg.routes, cfg.ignored, err = loadRoutes(dir); err != nil {
		r.Fail("TRACKS_DIR", "%v", err)
	}
	cfg.fleetSize = r.Int("FLEET_SIZE", 5, 1, 100_000, "number of vehicles: one per track, by name, then `City Truck 2` and so on, which start elsewhere on the same tracks")
	cfg.interval = r.Duration("REPORT_INTERVAL", time.Second, 10*time.Millisecond, time.Hour, "mean time between two reports of a vehicle; each interval is random, uniform from 0.5 to 1.5 times this value")
	cfg.seed = readSeed(r)
	cfg.upstream = upstream.ReadConfig(r)
	cfg.Config = server.ReadAdminConfig(r)
	cfg.DrainTimeout = server.ReadDrainTimeout(r, 1, cfg.upstream.Timeout)
	return cfg
}

// readSeed returns nil if no seed is set.
func readSeed(r *env.Reader) *uint64 {
	text := r.String("SEED", "", "seed of where numbered vehicles start and when each vehicle reports, a whole number; default: random, logged")
	if text == "" {
		return nil
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		r.Fail("SEED", "must be a whole number from 0 to 18446744073709551615")
	}
	return &seed
}
