// Package check proves what scenarios promise: it starts the fleet, sends the requests of
// expect.yaml and judges the answers, then repeats this on a fleet where the promise cannot hold.
// An interface hides where the fleet runs.
package check
