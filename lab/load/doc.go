// Package load sends requests at a steady rate, whatever becomes of them (an
// open loop), as many independent callers do: a stall delays answers, never the
// requests after it.
package load
