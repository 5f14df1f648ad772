// Package certs issues the certificates of a mesh's proxies. It has a certificate authority in memory
// and a server of Envoy's secret discovery service (SDS), which sends certificates and renews them. All
// dates come from package time, so tests run in a bubble of testing/synctest.
package certs
