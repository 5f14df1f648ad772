// Package fleet defines the JSON that the services exchange: positions, drivers and exact decimal
// numbers. Its sources are the recorded answers of the original and the contract in the README.
package fleet
