package bare

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/golden"
	"fleetman.example/lab/mesh/meshtest"
	"fleetman.example/lab/wants"
)

const demo = "testdata/v2.yaml"

// TestMigrate reads a configuration with the fields that the published envoy_demo has.
func TestMigrate(t *testing.T) {
	config, notes, err := Read(demo)
	require.NoError(t, err)
	const (
		filter  = "testdata/v2.yaml: static_resources.listeners[0].filter_chains[0].filters[0].typed_config."
		routes  = filter + "route_config.virtual_hosts[0].routes"
		version = ": of version 2 of Envoy's API, read as "
	)
	want := []string{
		"testdata/v2.yaml: admin.access_log_path" + version + "access_log",
		"testdata/v2.yaml: static_resources.clusters[0].tls_context" + version + "transport_socket",
		"testdata/v2.yaml: static_resources.clusters[1].tls_context" + version + "transport_socket",
		filter + "@type: envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager" + version + types["envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager"],
		filter + "http_filters[0]: envoy.router" + version + "one with typed_config",
		routes + "[0].route.host_rewrite" + version + "host_rewrite_literal",
		routes + "[1].route.host_rewrite" + version + "host_rewrite_literal",
	}
	assert.Equal(t, want, notes, "notes")
	golden.Compare(t, "testdata/v3.yaml", string(config))
	again, notes, err := Read("testdata/v3.yaml")
	require.NoError(t, err)
	assert.Nil(t, notes, "notes of version 3")
	assert.Equal(t, string(config), string(again), "version 3")
}

func TestBadConfigurations(t *testing.T) {
	text, err := os.ReadFile(demo)
	require.NoError(t, err)
	for _, test := range []struct{ name, old, replacement, want string }{
		{
			"a type that is not known", "envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager", "envoy.config.filter.network.mongo_proxy.v2.MongoProxy",
			"old.yaml: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.@type: envoy.config.filter.network.mongo_proxy.v2.MongoProxy: must be a type of version 3 of Envoy's API: Envoy has no other since 1.18",
		},
		{"no configuration", "static_resources:", "resources:", "old.yaml: must be an Envoy configuration, with static_resources or dynamic_resources"},
		{"no YAML", "admin:", "admin: [", "old.yaml: not YAML: …"},
		{"a second document", "admin:", "a: 1\n---\nadmin:", "old.yaml:2: a second document: must be one alone"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := Migrate("old.yaml", []byte(strings.Replace(string(text), test.old, test.replacement, 1)))
			wants.Error(t, test.name, err, test.want)
		})
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	write("service.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: static_resources}\n")
	write("Dockerfile", "FROM envoyproxy/envoy:v1.11.2\n")
	_, _, err := Read(dir)
	wants.Error(t, "a directory of manifests", err, dir+": 0 Envoy configurations: must be one, with static_resources or dynamic_resources")
	assert.Equal(t, false, Is(dir), "manifests are a configuration")
	write("config.yaml", "static_resources: {}\n")
	config, notes, err := Read(dir)
	require.NoError(t, err)
	assert.Equal(t, []any{"static_resources: {}\n", 0, true}, []any{string(config), len(notes), Is(dir)}, "a directory with a configuration")
	write("more.yaml", "dynamic_resources: {}\n")
	_, _, err = Read(dir)
	wants.Error(t, "two", err, dir+": 2 Envoy configurations: must be one…")
	_, _, err = Read(filepath.Join(dir, "none"))
	require.Error(t, err, "none")
	assert.False(t, Is(filepath.Join(dir, "none")), "none")
}

// free returns an address that nothing listens on.
func free(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

func port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// run starts an Envoy and returns its lines when it is ready.
func run(t *testing.T, o Options) (lines []string, ended chan error) {
	t.Helper()
	o.Envoy = meshtest.Binaries(t).Envoy.Path
	ready := make(chan []string, 1)
	o.Ready = func(lines []string) { ready <- lines }
	o.Log = t.Output()
	ctx, cancel := context.WithCancel(t.Context())
	ended = make(chan error, 1)
	go func() { ended <- Run(ctx, o) }()
	t.Cleanup(func() { cancel(); <-ended })
	select {
	case lines = <-ready:
	case err := <-ended:
		ended <- err
	case <-time.After(time.Minute):
		t.Fatal("not ready after a minute")
	}
	return lines, ended
}

// TestRun runs the configuration of version 2 with a real Envoy: two prefixes lead to two servers over TLS,
// without the prefix and with another host.
func TestRun(t *testing.T) {
	front, admin := free(t), free(t)
	replace := []string{"10000", port(front), "9901", port(admin)}
	for _, declared := range []string{"4431", "4432"} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s%s by %s", r.Host, r.URL.Path, r.TLS.ServerName)
		}))
		server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		server.StartTLS()
		t.Cleanup(server.Close)
		replace = append(replace, declared, port(server.Listener.Addr().String()))
	}
	config, _, err := Read(demo)
	require.NoError(t, err)
	lines, _ := run(t, Options{Config: []byte(strings.NewReplacer(replace...).Replace(string(config))), Source: demo})
	assert.Equal(t, []string{"listener front: http://" + front, "admin interface: http://" + admin}, lines, "ready")
	for path, want := range map[string]string{
		"/one":   "200 one.example/ by one.example",
		"/two/x": "200 two.example//x by two.example", // Envoy replaces the prefix alone
		"/three": "404 ",
	} {
		response, err := http.Get("http://" + front + path)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		require.NoError(t, err)
		assert.Equal(t, want, fmt.Sprintf("%d %s", response.StatusCode, body), path)
	}
}

func TestRunFails(t *testing.T) {
	lines, ended := run(t, Options{Config: []byte("static_resources: {listeners: [{nam: x}]}\n"), Source: "bad.yaml"})
	assert.Empty(t, lines, "an unknown field")
	wants.Error(t, "an unknown field", <-ended, "bad.yaml: Envoy rejects it: …nam…")
	ended <- nil
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	taken := strings.Replace("static_resources: {listeners: [{name: x, address: {socket_address: {address: 127.0.0.1, port_value: PORT}}, filter_chains: [{filters: [{name: echo, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo}}]}]}]}",
		"PORT", port(listener.Addr().String()), 1)
	_, ended = run(t, Options{Config: []byte(taken), Source: "taken.yaml"})
	wants.Error(t, "a port in use", <-ended, "taken.yaml: Envoy …ddress already in use…")
	ended <- nil
}

// TestExample checks the repository's own configuration.
func TestExample(t *testing.T) {
	config, notes, err := Read("../../k8s/bare-envoy")
	require.NoError(t, err)
	assert.Nil(t, notes, "notes")
	changed := strings.NewReplacer("10000", port(free(t)), "9901", port(free(t))).Replace(string(config))
	lines, _ := run(t, Options{Config: []byte(changed), Source: "k8s/bare-envoy"})
	assert.Len(t, lines, 2, "ready")
}
