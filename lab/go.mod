module fleetman.example/lab

go 1.26.0
