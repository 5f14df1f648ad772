module fleetman.example/services/position-simulator

go 1.26.0

require fleetman.example/kit v0.0.0

replace fleetman.example/kit => ../../kit
