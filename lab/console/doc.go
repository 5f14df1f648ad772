// Package console serves a live page of a running fleet: a graph of its services with their breakers and
// ejections, and controls that inject faults into the fleet. It reads the fleet only while a page is open.
package console
