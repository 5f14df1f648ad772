// Package control is the interface of a running fleet for other commands: HTTP and JSON over a Unix
// socket in the fleet's state directory.
package control
