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

// consolePort is the flag --console-port: where the console is served, 0 for none.
type consolePort struct {
	port  int
	given bool // by the user
}

func (c consolePort) check() error { return checkRange("console-port", c.port, 0, 65535) }

// liveConsole is the console of fleetman up; without a listener it is none.
type liveConsole struct {
	listener net.Listener
	traces   *traces
	source   *console.Launcher
	server   *console.Server
}

// open opens the console's port, before the fleet starts, and changes the options so that the fleet sends its
// spans. The default port in use, as by another fleet, is a note.
func (c consolePort) open(options *local.Options, stderr io.Writer) (*liveConsole, error) {
	l := &liveConsole{}
	if c.port == 0 {
		return l, nil
	}
	listener, err := console.Listen(options.NodeAddress, c.port)
	if err != nil && !c.given {
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
	if l.server != nil {
		l.server.Close()
	} else if l.listener != nil {
		l.listener.Close()
	}
	if l.traces != nil {
		l.traces.Close()
	}
}

// print writes the address of the page.
func (l *liveConsole) print(p *printer) {
	if l.server != nil {
		p.line(plain, "console: %s", l.server.URL())
	}
}
