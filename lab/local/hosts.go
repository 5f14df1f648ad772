package local

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// hostsEntry is one Service and the addresses that answer for it.
type hostsEntry struct {
	names     []string
	addresses []netip.Addr
}

// serviceNames are the names that a cluster's DNS has for a Service. The bare
// name is resolved in the caller's namespace there; here there is one file for
// all, so only the default namespace's Services have it.
func serviceNames(name, namespace string) []string {
	qualified := []string{name + "." + namespace, name + "." + namespace + ".svc", name + "." + namespace + ".svc.cluster.local"}
	if namespace != "default" {
		return qualified
	}
	return append([]string{name}, qualified...)
}

// renderHosts gives hosts(5) text, one line an endpoint. A Service without any
// gets the refusing address, so that callers are refused at once, as on a
// cluster, and do not turn to DNS.
func renderHosts(entries []hostsEntry, refusing netip.Addr) []byte {
	var out bytes.Buffer
	out.WriteString("# kept by fleetman: the Services and their ready pods\n")
	for _, entry := range entries {
		addresses := entry.addresses
		if len(addresses) == 0 {
			addresses = []netip.Addr{refusing}
		}
		for _, address := range addresses {
			fmt.Fprintf(&out, "%s %s\n", address, strings.Join(entry.names, " "))
		}
	}
	return out.Bytes()
}

// writeAtomically replaces a file, so that a reader sees the old or the new
// one, never a part.
func writeAtomically(path string, data []byte) error {
	next := path + ".next"
	if err := os.WriteFile(next, data, 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
