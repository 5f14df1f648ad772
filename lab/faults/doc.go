// Package faults sets, reads and verifies the faults of running pods, through their admin listeners.
package faults
