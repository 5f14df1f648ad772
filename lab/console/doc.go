// Package console serves a live page of a running fleet: a graph of its services, their breakers and
// ejections, and controls that break them. It reads the fleet only while a page is open.
package console
