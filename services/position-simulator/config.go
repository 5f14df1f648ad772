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
	tracksDir string
	fleetSize int
	interval  time.Duration
	seed      uint64
}

// readConfig reads the environment; random is the seed where none is set.
func readConfig(r *env.Reader, random uint64) config {
	return config{
		tracker:   r.URL("POSITION_TRACKER_URL", "http://fleetman-position-tracker:8080", "where reports go"),
		tracksDir: r.String("TRACKS_DIR", "", "directory of the tracks to drive, see Tracks; unset, the five routes that ship with the program"),
		fleetSize: r.Int("FLEET_SIZE", 5, 1, 100_000, "vehicles: one for each track by name, then `City Truck 2` and so on, which start elsewhere on the same tracks"),
		interval:  r.Duration("REPORT_INTERVAL", time.Second, 10*time.Millisecond, time.Hour, "mean time between two reports of a vehicle; each is drawn evenly from half of it to one and a half times"),
		seed:      readSeed(r, random),
		upstream:  upstream.ReadConfig(r),
		server:    server.ReadAdminConfig(r),
	}
}

func readSeed(r *env.Reader, random uint64) uint64 {
	text := r.String("SEED", "", "where the suffixed vehicles start and when each vehicle reports, a whole number; unset, a random one, which the log tells")
	if text == "" {
		return random
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		r.Fail("SEED", "expected a whole number from 0 to 18446744073709551615")
	}
	return seed
}
