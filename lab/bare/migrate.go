// Package bare runs one Envoy from a configuration of its own, without a mesh.
package bare

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"fleetman.example/lab/manifest"
)

const typePrefix = "type.googleapis.com/"

// types are those of version 2 of Envoy's API, which Envoy had until 1.17, and the ones that replace them.
var types = map[string]string{
	"envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager": "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
	"envoy.config.filter.network.tcp_proxy.v2.TcpProxy":                            "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
	"envoy.config.filter.http.router.v2.Router":                                    router,
	"envoy.config.accesslog.v2.FileAccessLog":                                      fileAccessLog,
	"envoy.api.v2.auth.UpstreamTlsContext":                                         upstreamTLS,
	"envoy.api.v2.auth.DownstreamTlsContext":                                       downstreamTLS,
}

const (
	router        = "envoy.extensions.filters.http.router.v3.Router"
	fileAccessLog = "envoy.extensions.access_loggers.file.v3.FileAccessLog"
	upstreamTLS   = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
	downstreamTLS = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
)

// Migrate returns an Envoy configuration in version 3 of Envoy's API. What version 2 wrote otherwise is
// replaced, with a note for each field. A type of version 2 without a known replacement is an error. Migrate
// leaves all else to Envoy, and returns a text without such fields as it is.
func Migrate(source string, text []byte) (config []byte, notes []string, err error) {
	if err := manifest.CheckSingle(source, text); err != nil {
		return nil, nil, err
	}
	var root map[string]any
	if err := yaml.UnmarshalStrict(text, &root); err != nil {
		return nil, nil, fmt.Errorf("%s: must be an Envoy configuration: %s", source, strings.Join(strings.Fields(err.Error()), " "))
	}
	if !isConfig(root) {
		return nil, nil, fmt.Errorf("%s: must be an Envoy configuration, with static_resources or dynamic_resources", source)
	}
	m := migration{source: source}
	m.object("", root)
	if m.err != nil || len(m.notes) == 0 {
		return text, nil, m.err
	}
	config, err = yaml.Marshal(root)
	return config, m.notes, err
}

func isConfig(root map[string]any) bool {
	return root["static_resources"] != nil || root["dynamic_resources"] != nil
}

// migration changes a configuration in place.
type migration struct {
	source string
	notes  []string
	err    error // the first
}

func (m *migration) note(field, now string) {
	m.notes = append(m.notes, fmt.Sprintf("%s: %s: of version 2 of Envoy's API, read as %s", m.source, field, now))
}

func (m *migration) object(path string, node map[string]any) {
	m.typeOf(path, node)
	m.rename(path, node, "host_rewrite", "host_rewrite_literal")
	m.tls(path, node)
	m.adminLog(path, node)
	for _, key := range slices.Sorted(maps.Keys(node)) {
		m.any(join(path, key), node[key])
	}
}

func (m *migration) any(path string, node any) {
	switch typed := node.(type) {
	case map[string]any:
		m.object(path, typed)
	case []any:
		for i, element := range typed {
			at := fmt.Sprintf("%s[%d]", path, i)
			if filter, ok := element.(map[string]any); ok && strings.HasSuffix(path, ".http_filters") {
				m.router(at, filter)
			}
			m.any(at, element)
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// typeOf replaces a type of version 2.
func (m *migration) typeOf(path string, node map[string]any) {
	url, _ := node["@type"].(string)
	name := strings.TrimPrefix(url, typePrefix)
	now, known := types[name]
	switch {
	case known:
		node["@type"] = typePrefix + now
		m.note(path+".@type: "+name, now)
	case (strings.Contains(name, ".v2.") || strings.Contains(name, ".v2alpha.")) && strings.HasPrefix(name, "envoy.") && m.err == nil:
		m.err = fmt.Errorf("%s: %s.@type: %s: must be a type of version 3 of Envoy's API: Envoy has no other since 1.18", m.source, path, name)
	}
}

func (m *migration) rename(path string, node map[string]any, was, is string) {
	value, ok := node[was].(string)
	if !ok || node[is] != nil {
		return
	}
	delete(node, was)
	node[is] = value
	m.note(join(path, was), is)
}

// tls makes a transport socket of the tls_context of a cluster or a filter chain.
func (m *migration) tls(path string, node map[string]any) {
	context, ok := node["tls_context"].(map[string]any)
	if !ok || node["transport_socket"] != nil {
		return
	}
	kind := upstreamTLS
	if node["filters"] != nil {
		kind = downstreamTLS
	}
	delete(node, "tls_context")
	context["@type"] = typePrefix + kind
	node["transport_socket"] = map[string]any{"name": "envoy.transport_sockets.tls", "typed_config": context}
	m.note(join(path, "tls_context"), "transport_socket")
}

// adminLog makes an access log of the admin interface's access_log_path.
func (m *migration) adminLog(path string, node map[string]any) {
	file, ok := node["access_log_path"].(string)
	if path != "admin" || !ok || node["access_log"] != nil {
		return
	}
	delete(node, "access_log_path")
	node["access_log"] = []any{map[string]any{
		"name": "envoy.access_loggers.file", "typed_config": map[string]any{"@type": typePrefix + fileAccessLog, "path": file},
	}}
	m.note(join(path, "access_log_path"), "access_log")
}

// router gives a router its type, which version 3 requires.
func (m *migration) router(path string, filter map[string]any) {
	name, _ := filter["name"].(string)
	if (name != "envoy.router" && name != "envoy.filters.http.router") || filter["typed_config"] != nil || filter["config_discovery"] != nil {
		return
	}
	config, _ := filter["config"].(map[string]any)
	if config == nil {
		config = map[string]any{}
	}
	delete(filter, "config")
	config["@type"] = typePrefix + router
	filter["typed_config"] = config
	m.note(path+": "+name, "one with typed_config")
}

// address is an address of a listener in a configuration.
type address struct {
	Address struct {
		SocketAddress struct {
			Address   string `json:"address"`
			PortValue int    `json:"port_value"`
		} `json:"socket_address"`
	} `json:"address"`
	Name string `json:"name"`
}

func (a address) String() string {
	return fmt.Sprintf("%s:%d", a.Address.SocketAddress.Address, a.Address.SocketAddress.PortValue)
}

// listeners returns the addresses in a configuration. admin is nil without an admin interface.
func listeners(config []byte) (admin *address, static []address) {
	var root struct {
		Admin           *address `json:"admin"`
		StaticResources struct {
			Listeners []address `json:"listeners"`
		} `json:"static_resources"`
	}
	_ = yaml.Unmarshal(config, &root) // Envoy reports what is wrong
	return root.Admin, root.StaticResources.Listeners
}
