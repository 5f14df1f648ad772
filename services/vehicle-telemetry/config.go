package main

import (
	"log/slog"

	"fleetman.example/kit/env"
	"fleetman.example/kit/fleet"
	"fleetman.example/kit/server"
)

type config struct {
	Server      server.Config
	maxVehicles int
	effective   slog.LogValuer // for one log line
	table       string         // for the README
}

// readConfig reads the whole configuration; its error names every bad variable.
func readConfig(getenv func(string) string) (config, error) {
	r := env.New(getenv)
	cfg := config{Server: server.ReadConfig(r, ":8080"), maxVehicles: fleet.ReadMaxVehicles(r)}
	cfg.Server.DrainTimeout = server.ReadDrainTimeout(r, 0, 0)
	cfg.effective, cfg.table = r, r.Table()
	return cfg, r.Err()
}
