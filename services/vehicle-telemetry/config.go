package main

import (
	"fleetman.example/kit/env"
	"fleetman.example/kit/fleet"
	"fleetman.example/kit/server"
)

type config struct {
	server.Config
	maxVehicles int
}

func readConfig(r *env.Reader) config {
	cfg := config{Config: server.ReadConfig(r, ":8080"), maxVehicles: fleet.ReadMaxVehicles(r)}
	cfg.DrainTimeout = server.ReadDrainTimeout(r, 0, 0)
	return cfg
}
