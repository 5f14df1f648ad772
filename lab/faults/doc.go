// Package faults sets the faults of running pods through their admin listeners, and reads how often
// each fired.
package faults
