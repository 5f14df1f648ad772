// Package server runs a service: it listens, serves, reports its health on an admin listener, and
// drains on SIGTERM.
package server
