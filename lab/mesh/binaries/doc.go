// Package binaries finds, builds or downloads the binaries of a mesh: Istio's pilot-discovery and
// istioctl, and Envoy. Those that it builds or downloads are kept in ROOT/.cache/tools, in files named
// by version.
package binaries
