// Package clustertest tests the fleetman command on a real cluster. Its tests are skipped without one: see
// CONTRIBUTING.md.
package clustertest
