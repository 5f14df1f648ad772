// Package envoy starts and controls an unmodified Envoy: its bootstrap, its command line, its admin
// interface and its access log.
package envoy
