// Package server runs a service: it listens, serves requests, serves health and metrics on an admin
// listener, and drains on SIGTERM.
package server
