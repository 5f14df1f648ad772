package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"

	"fleetman.example/lab/console"
	"fleetman.example/lab/control"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
)

// consolePort is the flag --console-port: where the console is served, 0 for none.
type consolePort struct {
	port  int
	given bool // by the user
}

func (c consolePort) check() error {
	if c.port < 0 || c.port > 65535 {
		return fmt.Errorf("--console-port %d: must be between 0 and 65535", c.port)
	}
	return nil
}

// listen opens the port, before the fleet starts; nil for none. The default port in use, as by another
// fleet, is a note.
func (c consolePort) listen(node netip.Addr, stderr io.Writer) (net.Listener, error) {
	if c.port == 0 {
		return nil, nil
	}
	listener, err := console.Listen(node, c.port)
	if err != nil && !c.given {
		fmt.Fprintf(stderr, "no console: %v\n", err)
		return nil, nil
	}
	return listener, err
}

// consoleOf is the console of a running fleet; the zero value is none.
type consoleOf struct {
	source *console.Launcher
	server *console.Server
}

// serveConsole serves the console at a listener; nil is none.
func serveConsole(listener net.Listener, fleet *local.Fleet, meshed *mesh.Mesh, where places, manifests []string, mounts map[string]http.Handler, stderr io.Writer) (consoleOf, error) {
	if listener == nil {
		return consoleOf{}, nil
	}
	client, err := control.NewClient(where.state)
	if err != nil {
		listener.Close()
		return consoleOf{}, err
	}
	scenarios := ""
	if where.root != "" {
		scenarios = where.scenarios()
	}
	source := console.NewLauncher(fleet, meshed, client, scenarios, manifests)
	server, err := console.Serve(listener, source, mounts)
	if errors.Is(err, console.ErrNotBuilt) {
		fmt.Fprintf(stderr, "no %v, then make build\n", err)
		return consoleOf{}, nil
	}
	return consoleOf{source, server}, err
}

// applied is called with the manifests after each apply.
func (c consoleOf) applied(manifests []string) {
	if c.source != nil {
		c.source.Applied(manifests)
	}
}

// Close ends the console.
func (c consoleOf) Close() {
	if c.server != nil {
		c.server.Close()
	}
}

// print writes the address of the page.
func (c consoleOf) print(p *printer) {
	if c.server != nil {
		p.line(plain, "console: %s", c.server.URL())
	}
}
