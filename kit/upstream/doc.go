// Package upstream calls other services. A call has a timeout, propagates the headers and the trace of
// the request that it is made for, and passes a chain of resilience stages, which RESILIENCE=library
// switches on. newChain composes them and documents their order.
package upstream
