// Package faults sets, reads and verifies the faults of running pods, and reads the state of their resilience
// chains, through their admin listeners.
package faults
