package envoy

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"text/template"
)

// AdminPort is the port of the read-only admin interface at the pod's address, as on a cluster. Envoy's
// own admin interface is at a Unix socket, because everyone who can POST to it can stop the proxy.
const AdminPort = 15000

// IstioVersion is the version that proxies report to istiod.
const IstioVersion = "1.31.0"

// Role is Istio's type of a proxy.
type Role string

// Roles.
const (
	Sidecar Role = "sidecar"
	Gateway Role = "router"
)

// Node configures the bootstrap of one Envoy.
type Node struct {
	Role Role
	IP   netip.Addr // the pod's
	// Name is the pod's name.
	Name, Namespace string
	// Workload is the name of the pod's Deployment.
	Workload       string
	ServiceAccount string
	Labels         map[string]string // the pod's
	// AdminSocket is the path of the admin interface's Unix socket, in a directory that only this user
	// can read.
	AdminSocket string
	// Privileged reports whether the proxy may listen on ports below 1024.
	Privileged bool
	// DNS is the server that resolves the names of endpoints. Defaults to the system's.
	DNS netip.AddrPort
	// XDS is istiod's gRPC address.
	XDS netip.AddrPort
	// SDSSocket is the path of the certificate service's Unix socket.
	SDSSocket string
}

// ID returns the proxy's name at istiod and at the certificate service.
func (n Node) ID() string {
	return fmt.Sprintf("%s~%s~%s.%s~%s.svc.cluster.local", n.Role, n.IP, n.Name, n.Namespace, n.Namespace)
}

// Cluster returns the name of the proxy's service.
func (n Node) Cluster() string { return cmp.Or(n.Labels["app"], n.Workload) + "." + n.Namespace }

// IstioVersion returns the constant of that name.
func (Node) IstioVersion() string { return IstioVersion }

// Upstreams returns the addresses of the static clusters, keyed by name, in the form of Envoy's
// core.v3.Address.
func (n Node) Upstreams() map[string]any {
	return map[string]any{
		"xds-grpc": map[string]any{"socket_address": map[string]any{"address": n.XDS.Addr(), "port_value": n.XDS.Port()}},
		"sds-grpc": map[string]any{"pipe": map[string]any{"path": n.SDSSocket}},
	}
}

// AdminAddress returns the address of the read-only admin interface.
func (n Node) AdminAddress() netip.AddrPort { return netip.AddrPortFrom(n.IP, AdminPort) }

// MaxSocket is the maximum length of a Unix socket's path, in bytes. It is macOS's limit.
const MaxSocket = 103

//go:embed bootstrap.yaml.tmpl
var bootstrapText string

var bootstrapTemplate = template.Must(template.New("bootstrap").Funcs(template.FuncMap{"json": asJSON}).Parse(bootstrapText))

// dnsName matches the names that Kubernetes allows. They contain no separator of a node ID.
var dnsName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)

// Bootstrap returns the node's bootstrap, in YAML.
func Bootstrap(n Node) ([]byte, error) {
	for _, field := range []struct{ name, value string }{
		{"name", n.Name}, {"namespace", n.Namespace}, {"workload", n.Workload}, {"service account", n.ServiceAccount},
	} {
		if !dnsName.MatchString(field.value) {
			return nil, fmt.Errorf("bootstrap of %s: %s: %q: must be a name of lower-case letters, digits, dots and dashes", n.Name, field.name, field.value)
		}
	}
	for _, field := range []struct{ name, path string }{{"the admin socket", n.AdminSocket}, {"the certificates' socket", n.SDSSocket}} {
		if !filepath.IsAbs(field.path) || len(field.path) > MaxSocket {
			return nil, fmt.Errorf("bootstrap of %s: %s: %q: must be an absolute path of at most %d bytes", n.Name, field.name, field.path, MaxSocket)
		}
	}
	var text bytes.Buffer
	if err := bootstrapTemplate.Execute(&text, n); err != nil {
		return nil, fmt.Errorf("bootstrap of %s: %w", n.Name, err)
	}
	return text.Bytes(), nil
}

// asJSON encodes a value as JSON, which YAML parses as the same value.
func asJSON(value any) (string, error) {
	text, err := json.Marshal(value)
	return string(text), err
}
