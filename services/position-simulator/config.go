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
	server    server.Config
	upstream  upstream.Config
	tracker   *url.URL
	routes    []*route
	ignored   []string // files in TRACKS_DIR that are not tracks
	fleetSize int
	interval  time.Duration
	seed      uint64
}

// readConfig reads the configuration. random is the default seed.
func readConfig(r *env.Reader, random uint64) config {
	cfg := config{tracker: r.URL("POSITION_TRACKER_URL", "http://fleetman-position-tracker:8080", "address of position-tracker")}
	dir := r.String("TRACKS_DIR", "", "directory of the tracks, see Tracks; if unset, the five routes that are part of the program")
	var err error
	if cfg.routes, cfg.ignored, err = loadRoutes(dir); err != nil {
		r.Fail("TRACKS_DIR", "%v", err)
	}
	cfg.fleetSize = r.Int("FLEET_SIZE", 5, 1, 100_000, "number of vehicles: one per track, by name, then `City Truck 2` and so on, which start elsewhere on the same tracks")
	cfg.interval = r.Duration("REPORT_INTERVAL", time.Second, 10*time.Millisecond, time.Hour, "mean time between two reports of a vehicle; each interval is random, uniform from 0.5 to 1.5 times this value")
	cfg.seed = readSeed(r, random)
	cfg.upstream = upstream.ReadConfig(r)
	cfg.server = server.ReadAdminConfig(r)
	cfg.server.DrainTimeout = server.ReadDrainTimeout(r, 1, cfg.upstream.Timeout)
	return cfg
}

func readSeed(r *env.Reader, random uint64) uint64 {
	text := r.String("SEED", "", "seed of where numbered vehicles start and when each vehicle reports, a whole number; default: random, logged")
	if text == "" {
		return random
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		r.Fail("SEED", "must be a whole number from 0 to 18446744073709551615")
	}
	return seed
}
