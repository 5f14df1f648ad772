module fleetman.example/kit

go 1.26.0
