// Command staff-service returns the driver of a vehicle, and accepts drivers' speeds.
package main
