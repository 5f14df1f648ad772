// Package envoy has what is needed to run an unmodified Envoy: its bootstrap, its command line, a client
// of its admin interface, and parsers of its logs.
package envoy
