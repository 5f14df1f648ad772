package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/spf13/cobra"

	"fleetman.example/lab/console"
	"fleetman.example/lab/control"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/usage"
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
	scenarios := where.scenariosOrNone()
	source := console.NewLauncher(fleet, meshed, client, scenarios, manifests)
	if l.traces.store == nil {
		source.Disable("trace", "This fleet sends no spans here: "+l.traces.off+".")
	}
	server, err := console.Serve(l.listener, source, l.traces.handlers())
	if errors.Is(err, console.ErrNotBuilt) {
		fmt.Fprintf(stderr, "no %v, then make build or make install\n", err)
		return nil
	}
	l.source, l.server = source, server
	return err
}

// scenariosOrNone returns the directory of the scenarios, "" without a repository.
func (p *places) scenariosOrNone() string {
	if p.root == "" {
		return ""
	}
	return p.scenarios()
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

func consoleCommand(where *places) *cobra.Command {
	port := consolePort{given: true}
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Serve the console of a fleet on a cluster until Ctrl-C",
		Long: `Serve the console of a fleet on a cluster, on this machine and until Ctrl-C: a page
that shows the fleet, its breakers and ejections, and changes it. It reads pods and
proxies by port-forward, and only while a page is open.

A fleet on this machine has its console from fleetman up.`,
		Example: `  fleetman console --context kind-kind
  fleetman console --context kind-kind --namespace team --console-port 8090`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !where.onCluster() {
				return usage.Error{Err: errors.New("--context: missing: must be the name of a context of the kubeconfig; a fleet on this machine has its console from fleetman up")}
			}
			if err := port.check(); err != nil {
				return usage.Error{Err: err}
			}
			_ = where.find() // without the repository there are no lessons
			return serveCluster(cmd, where, port)
		},
	}
	cmd.Flags().IntVar(&port.port, "console-port", console.Port, "port of the page; 0 is a free one")
	where.addCluster(cmd)
	return cmd
}

// serveCluster serves the console of a fleet on a cluster until the command's context ends.
func serveCluster(cmd *cobra.Command, where *places, port consolePort) error {
	client, err := where.connectCluster()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Reach(cmd.Context()); err != nil {
		return err
	}
	if _, _, err := client.InForce(cmd.Context()); err != nil { // no fleet
		return err
	}
	listener, err := console.Listen(netip.MustParseAddr("127.0.0.1"), port.port)
	if err != nil {
		return err
	}
	source := console.NewCluster(client, client.Flags(), where.scenariosOrNone())
	defer source.Close()
	server, err := console.Serve(listener, source, nil)
	if errors.Is(err, console.ErrNotBuilt) {
		return fmt.Errorf("%w, then make build or make install", err)
	}
	if err != nil {
		return err
	}
	defer server.Close()
	fmt.Fprintf(cmd.OutOrStdout(), "console: %s\n", server.URL())
	fmt.Fprintln(cmd.ErrOrStderr(), "Ctrl-C ends it")
	<-cmd.Context().Done()
	return nil
}
