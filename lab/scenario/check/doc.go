// Package check checks scenarios. For each promise it starts the fleet, sends the requests of expect.yaml
// and judges the responses. Then it repeats this with the control, on a fleet where the promise must not
// hold. The fleet runs behind an interface, on this machine or on a cluster.
package check
