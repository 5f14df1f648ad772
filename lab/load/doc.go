// Package load sends requests at their intended starts, whatever becomes of them (an
// open loop), as many independent callers do: a stall delays answers, never the
// requests after it.
package load
