// Package certs issues the certificates of the mesh's proxies: an authority in memory, and a server
// of Envoy's secret discovery service (SDS) that sends and renews what the authority signs. All dates
// come from package time, so tests run in a bubble of testing/synctest.
package certs
