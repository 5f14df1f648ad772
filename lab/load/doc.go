// Package load sends requests at their intended starts, independent of their outcomes (an open loop), as
// many independent callers do: a stall delays responses, but not the requests after it.
package load
