// Package upstream sends the requests of one service to another: by name, within a time, with the
// headers and the trace of the request that it handles, and through a chain of resilience stages that
// RESILIENCE=library switches on. newChain composes them and gives the reason for the order.
package upstream
