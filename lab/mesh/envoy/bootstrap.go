package envoy

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"text/template"
)

// AdminPort is where the admin interface is read at the pod's address, as on a
// cluster. Envoy itself has it on a Unix socket: it ends the proxy for anyone
// who can POST.
const AdminPort = 15000

// IstioVersion is the version that proxies report to istiod, unless Node has one.
const IstioVersion = "1.31.0"

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
	// IstioVersion is the version of istiod that serves it. Defaults to the constant IstioVersion.
	IstioVersion string
	// AdminSocket is the path of the admin interface's Unix socket, in a
	// directory that only this user can enter.
	AdminSocket string
	// Privileged proxies may listen on ports below 1024.
	Privileged bool
	// DNS resolves the names of endpoints; the system's does when zero.
	DNS netip.AddrPort
	// XDS is istiod's gRPC address.
	XDS netip.AddrPort
	// SDSSocket is the path of the certificate service's Unix socket.
	SDSSocket string
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

// Upstreams are the addresses of the static clusters, by name, as Envoy's
// core.v3.Address has them.
func (n Node) Upstreams() map[string]any {
	return map[string]any{
		"xds-grpc": map[string]any{"socket_address": map[string]any{"address": n.XDS.Addr(), "port_value": n.XDS.Port()}},
		"sds-grpc": map[string]any{"pipe": map[string]any{"path": n.SDSSocket}},
	}
}

// AdminAddress is where the admin interface is read.
func (n Node) AdminAddress() netip.AddrPort { return netip.AddrPortFrom(n.IP, AdminPort) }

func (n Node) withDefaults() Node {
	if n.Workload == "" {
		n.Workload = n.Name
	}
	if n.IstioVersion == "" {
		n.IstioVersion = IstioVersion
	}
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
	return n
}

// MaxSocket is the longest path of a Unix socket, in bytes: macOS's.
const MaxSocket = 103

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
	if !n.XDS.IsValid() || n.XDS.Port() == 0 {
		return nil, fmt.Errorf("bootstrap of %s: istiod's address: %q: must be an address and a port", n.Name, n.XDS)
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

// asJSON writes a value so that YAML takes it for nothing else.
func asJSON(value any) (string, error) {
	text, err := json.Marshal(value)
	return string(text), err
}
