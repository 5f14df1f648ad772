// Command vehicle-telemetry computes the speed of a vehicle from its positions.
package main
