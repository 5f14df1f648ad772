// Package parts finds or builds the binaries of a mesh: Istio's pilot-discovery and istioctl, and
// Envoy. What it builds or downloads is below ROOT/.cache/tools, in files named by version.
package parts
