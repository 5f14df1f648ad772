//go:build !linux

package envoy

var usageOf = usageByPS
