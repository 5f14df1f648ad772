package main

import (
	"errors"
	"fmt"
	"io"
	"net"

	"fleetman.example/lab/console"
	"fleetman.example/lab/control"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
)

// liveConsole is the console of fleetman up; without a listener it is none.
type liveConsole struct {
	listener net.Listener
	traces   *traces
	source   *console.Launcher
	server   *console.Server
}

// openConsole opens the console's port, 0 for none, before the fleet starts, and changes the options so that the fleet
// sends its spans. A port in use, as by another fleet, is a note unless the user has given it.
func openConsole(port int, given bool, options *local.Options, stderr io.Writer) (*liveConsole, error) {
	l := &liveConsole{}
	if port == 0 {
		return l, nil
	}
	listener, err := console.Listen(options.NodeAddress, port)
	if err != nil && !given {
		fmt.Fprintf(stderr, "left out: %v\n", err)
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	if l.traces, err = receiveTraces(options); err != nil {
		listener.Close()
		return nil, err
	}
	l.listener = listener
	return l, nil
}

// serve serves the page of a running fleet; meshed is nil without a mesh.
func (l *liveConsole) serve(fleet *local.Fleet, meshed *mesh.Mesh, where places, manifests []string, stderr io.Writer) error {
	if l.listener == nil {
		return nil
	}
	client, err := control.NewClient(where.state)
	if err != nil {
		return err
	}
	source := console.NewLauncher(fleet, meshed, client, where.scenarios(), manifests)
	if l.traces.store == nil {
		source.Place.Cannot = map[string]string{"trace": "This fleet sends no spans here: " + l.traces.off + "."}
	}
	server, err := console.Serve(l.listener, source, l.traces.handlers())
	if errors.Is(err, console.ErrNotBuilt) {
		fmt.Fprintf(stderr, "no %v, then make build or make install\n", err)
		return nil
	}
	l.source, l.server = source, server
	return err
}

// applied is called with the manifests after each apply.
func (l *liveConsole) applied(manifests []string) {
	if l.source != nil {
		l.source.Applied(manifests)
	}
}

// Close ends the console, after the fleet: the last spans arrive while it stops.
func (l *liveConsole) Close() {
	if l.listener == nil {
		return
	}
	if l.server != nil {
		l.server.Close()
	}
	l.listener.Close() // again, if there is a server
	l.traces.Close()
}

// print writes the address of the page.
func (l *liveConsole) print(p *printer) {
	if l.server != nil {
		p.line(plain, "console: %s", l.server.URL())
	}
}
