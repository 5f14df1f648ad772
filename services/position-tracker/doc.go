// Command position-tracker stores the latest position and the history of every vehicle, and reports
// each speed to staff-service.
package main
