package envoy

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"text/template"
)

// AdminPort is the admin port at the pod's address, as on a cluster.
const AdminPort = 15000

// Role is what Istio takes a proxy for.
type Role string

// Roles.
const (
	Sidecar Role = "sidecar"
	Gateway Role = "router"
)

// Node is one Envoy.
type Node struct {
	Role Role
	IP   netip.Addr // the pod's
	// Name is the pod's name; Workload, its Deployment's, is Name when empty.
	Name, Namespace, Workload string
	ServiceAccount            string
	Labels                    map[string]string // the pod's
	// IstioVersion is the version of istiod that it serves; 1.31.0 when empty.
	IstioVersion string
	// Admin is where the admin interface listens; IP:AdminPort when zero.
	Admin netip.AddrPort
	// Privileged proxies may listen on ports below 1024.
	Privileged bool
	// DNS resolves the names of endpoints; the system's does when zero.
	DNS netip.AddrPort
	// XDS is istiod's gRPC address, SDS that of the certificates.
	XDS, SDS netip.AddrPort
}

// ID is the name by which istiod and the certificates know the proxy.
func (n Node) ID() string {
	return fmt.Sprintf("%s~%s~%s.%s~%s.svc.cluster.local", n.Role, n.IP, n.Name, n.Namespace, n.Namespace)
}

// Cluster is the service that the proxy says it belongs to.
func (n Node) Cluster() string {
	app := n.Labels["app"]
	if app == "" {
		app = n.Workload
	}
	return app + "." + n.Namespace
}

// Upstreams are the static clusters, by name.
func (n Node) Upstreams() map[string]netip.AddrPort {
	return map[string]netip.AddrPort{"xds-grpc": n.XDS, "sds-grpc": n.SDS}
}

// AdminAddress is where the admin interface listens.
func (n Node) AdminAddress() netip.AddrPort { return n.withDefaults().Admin }

func (n Node) withDefaults() Node {
	if n.Workload == "" {
		n.Workload = n.Name
	}
	if n.IstioVersion == "" {
		n.IstioVersion = "1.31.0"
	}
	if !n.Admin.IsValid() {
		n.Admin = netip.AddrPortFrom(n.IP, AdminPort)
	}
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
	return n
}

//go:embed bootstrap.yaml.tmpl
var bootstrapText string

var bootstrapTemplate = template.Must(template.New("bootstrap").Funcs(template.FuncMap{"json": asJSON}).Parse(bootstrapText))

// dnsName is what Kubernetes lets names be; it keeps the node ID's separators
// out of them.
var dnsName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)

// Bootstrap is the text of the node's bootstrap, in YAML.
func Bootstrap(n Node) ([]byte, error) {
	n = n.withDefaults()
	if n.Role != Sidecar && n.Role != Gateway {
		return nil, fmt.Errorf("bootstrap: role %q; %s or %s is expected", n.Role, Sidecar, Gateway)
	}
	for _, field := range []struct{ name, value string }{
		{"name", n.Name}, {"namespace", n.Namespace}, {"workload", n.Workload}, {"service account", n.ServiceAccount},
	} {
		if !dnsName.MatchString(field.value) {
			return nil, fmt.Errorf("bootstrap of %s: %s %q; a name of lower-case letters, digits, dots and dashes is expected", n.Name, field.name, field.value)
		}
	}
	if !n.IP.IsValid() {
		return nil, fmt.Errorf("bootstrap of %s: no address", n.Name)
	}
	for _, field := range []struct {
		name    string
		address netip.AddrPort
	}{{"admin", n.Admin}, {"istiod's", n.XDS}, {"the certificates'", n.SDS}} {
		if !field.address.IsValid() || field.address.Port() == 0 {
			return nil, fmt.Errorf("bootstrap of %s: %s address %q; an address and a port are expected", n.Name, field.name, field.address)
		}
	}
	var text bytes.Buffer
	if err := bootstrapTemplate.Execute(&text, n); err != nil {
		return nil, fmt.Errorf("bootstrap of %s: %w", n.Name, err)
	}
	return text.Bytes(), nil
}

// asJSON writes a value so that YAML takes it for nothing else.
func asJSON(value any) (string, error) {
	text, err := json.Marshal(value)
	return string(text), err
}
