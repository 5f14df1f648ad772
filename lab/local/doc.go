// Package local runs the pods of a fleet as processes of this machine, each with a loopback address,
// with names in a hosts file, and with probes, restarts and logs as on a cluster.
package local
