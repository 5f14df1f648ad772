// Command position-tracker stores the latest position and the history of every vehicle, and posts each
// speed to staff-service.
package main
