// Package fleet is the wire format of the services: a vehicle's position, a driver, exact decimal
// numbers.
// Source: the recorded answers of the original and the contract in the README.
package fleet
