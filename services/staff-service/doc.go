// Command staff-service answers who drives a vehicle, and takes drivers' speeds.
package main
