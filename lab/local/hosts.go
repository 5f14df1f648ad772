package local

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fleetman.example/lab/manifest"
)

// serviceAddresses has the addresses of the ready pods of one Service.
type serviceAddresses struct {
	name, namespace string
	addresses       []netip.Addr
}

// hostsFile returns the path of the hosts file of a namespace's pods. It differs
// from that of every single pod, which is hosts.POD.
func hostsFile(state, namespace string) string {
	if namespace == manifest.DefaultNamespace {
		return filepath.Join(state, "hosts")
	}
	return filepath.Join(state, "hosts-"+namespace)
}

// renderHosts returns hosts(5) text for the pods of a namespace, one line an
// endpoint, with the names that a cluster's DNS has there: the Services of the
// namespace itself have their short name too. A Service without endpoints gets
// the refusing address, so that a call is refused at once, as on a cluster, and
// does not fall back to DNS.
func renderHosts(services []serviceAddresses, namespace string, refusing netip.Addr) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# kept by fleetman: the Services and their ready pods, as namespace %s names them\n", namespace)
	for _, service := range services {
		qualified := service.name + "." + service.namespace
		names := qualified + " " + qualified + ".svc " + qualified + ".svc.cluster.local"
		if service.namespace == namespace {
			names = service.name + " " + names
		}
		addresses := service.addresses
		if len(addresses) == 0 {
			addresses = []netip.Addr{refusing}
		}
		for _, address := range addresses {
			fmt.Fprintf(&out, "%s %s\n", address, names)
		}
	}
	return out.Bytes()
}

// WriteFile replaces a file. A reader sees the old content or the new one,
// never a part.
func WriteFile(path string, data []byte) error {
	next := path + ".next"
	if err := os.WriteFile(next, data, 0o644); err != nil {
		_ = os.Remove(next) // room for the others
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// LookUp returns a name's addresses in a hosts file.
func LookUp(path, name string) (addresses []string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", name, err)
	}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if fields := strings.Fields(line); len(fields) > 1 && slices.Contains(fields[1:], name) {
			addresses = append(addresses, fields[0])
		}
	}
	if len(addresses) == 0 {
		return nil, fmt.Errorf("look up %s: must be a name in %s", name, path)
	}
	return addresses, nil
}
