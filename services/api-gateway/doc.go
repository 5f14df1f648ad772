// Command api-gateway is the entry of the fleet's API: vehicles and their histories from
// position-tracker, drivers from staff-service.
package main
