// Command api-gateway is the API of the page: vehicles and their histories from position-tracker,
// drivers from staff-service.
package main
