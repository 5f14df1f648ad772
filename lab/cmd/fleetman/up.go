package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"fleetman.example/lab/bare"
	"fleetman.example/lab/console"
	"fleetman.example/lab/control"
	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/mesh/binaries"
	"fleetman.example/lab/usage"
	"fleetman.example/lab/watch"
)

// upFlags are the values of the flags of `fleetman up`.
type upFlags struct {
	bin, network, nodeAddress    string
	set, replicas, nodePorts     []string
	readyTimeout, restartBackoff time.Duration
	logs, mesh, relays           bool
	ingressPort, consolePort     int
	cluster                      clusterFlags
}

func upCommand(where *places) *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:   "up [SCENARIO|DIR|FILE...]",
		Short: "Start the fleet and keep it running until Ctrl-C",
		Long: `Start every pod of the manifests as a process of this machine, and keep the fleet
running until Ctrl-C or fleetman down.

An argument is a kustomize directory, a directory of plain YAML, a file, or the
name of a scenario (see fleetman scenarios). The default is k8s/base. The configuration
of an Envoy, or a directory with one, runs that Envoy alone (see fleetman envoy).

With --context, apply the manifests to a cluster by server-side apply, in a namespace
of their own, delete what an earlier up has applied there and these manifests do not
have, and return when the pods are ready and their proxies in sync with istiod.
fleetman down --context removes all of it.`,
		Example: `  fleetman up
  fleetman up --replicas staff-service=2 --set staff-service:VARIANT=bad
  fleetman up --mesh canary-weighted
  fleetman up --context kind-kind canary-weighted`,
		ValidArgsFunction: where.completeManifests,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := where.find(); err != nil {
				return err
			}
			if err := where.checkFlags(cmd, upClusterOnly, upLocalOnly); err != nil {
				return err
			}
			if len(args) == 1 && bare.Is(args[0]) {
				return upEnvoy(cmd, where, args[0])
			}
			if where.onCluster() {
				return upOnCluster(cmd, *where, f, args)
			}
			return up(cmd, *where, f, args)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.set, "set", nil, "set an environment variable, such as staff-service:VARIANT=bad (repeatable)")
	flags.StringArrayVar(&f.replicas, "replicas", nil, "set the number of pods, such as staff-service=2 (repeatable)")
	flags.BoolVar(&f.logs, "logs", false, "print the logs of the pods, each line with the name of its pod")
	flags.DurationVar(&f.readyTimeout, "ready-timeout", 30*time.Second, "limit of the time until all pods are ready (default on a cluster 3m0s)")
	flags.DurationVar(&f.restartBackoff, "restart-backoff", 250*time.Millisecond,
		"delay before the second restart of a pod in a row; doubles up to 30 times this (on a cluster: 10s)")
	flags.BoolVar(&f.relays, "relays", false, "put a TCP relay before every pod, for faults of its connections (fleetman fault 'connect=…')")
	flags.StringVar(&f.network, "network", "127.0.1.0/24", "network of the pods")
	flags.StringVar(&f.nodeAddress, "node-address", "127.0.0.1", "address of the NodePorts")
	flags.StringArrayVar(&f.nodePorts, "node-port", nil, "open the NodePort of a Service at another port, such as fleetman-webapp=8081; 0 is a free port (repeatable)")
	flags.BoolVar(&f.mesh, "mesh", false, "start istiod, an ingress gateway, and an Envoy for every pod that is injected by its labels")
	flags.IntVar(&f.ingressPort, "ingress-port", mesh.IngressPort, "port of the ingress gateway at the node address; 0 is a free port")
	flags.IntVar(&f.consolePort, "console-port", console.Port, "port of the console, a page that shows and changes the fleet; 0 is none")
	flags.StringVar(&f.bin, "bin", "", "directory of the services' programs (default: build them)")
	f.cluster.add(cmd, where)
	where.addCluster(cmd)
	completeFlag(cmd, "set", where.completePrograms(":"))
	completeFlag(cmd, "replicas", where.completePrograms("="))
	return cmd
}

func (f upFlags) options(where places) (o local.Options, err error) {
	o = local.Options{
		Root: where.root, Bin: f.bin, State: where.state, Environ: where.environ,
		ReadyTimeout: f.readyTimeout, RestartBackoff: f.restartBackoff, Replicas: map[string]int{}, NodePorts: map[string]int{},
		Relays: f.relays,
	}
	wrong := mistakes{checkPort("ingress-port", f.ingressPort), checkPort("console-port", f.consolePort), checkBin(f.bin), f.readLists(&o)}
	wrong.must(f.readyTimeout > 0, "--ready-timeout %v: must be more than 0s", f.readyTimeout)
	wrong.must(f.restartBackoff > 0, "--restart-backoff %v: must be more than 0s", f.restartBackoff)
	o.Network, err = netip.ParsePrefix(f.network)
	wrong.must(err == nil, "--network %s: must be a network, such as 127.0.1.0/24", quoted(f.network))
	wrong.must(err != nil || onLoopback(o.Network), "--network %s: must be within %v", f.network, loopback)
	o.NodeAddress, err = netip.ParseAddr(f.nodeAddress)
	wrong.must(err == nil, "--node-address %s: must be an address, such as 127.0.0.1", quoted(f.nodeAddress))
	return o, errors.Join(wrong...)
}

// loopback are the addresses that fleets of this machine may have.
var loopback = netip.MustParsePrefix("127.0.0.0/8")

// onLoopback reports whether all addresses of a network are of loopback.
func onLoopback(network netip.Prefix) bool {
	return network.Bits() >= loopback.Bits() && loopback.Contains(network.Addr())
}

// readLists reads the flags that may be repeated.
func (f upFlags) readLists(o *local.Options) error {
	var wrong mistakes
	for _, text := range f.set {
		target, assignment, ok := strings.Cut(text, ":")
		name, value, assigned := strings.Cut(assignment, "=")
		wrong.must(ok && assigned && target != "", "--set %s: must be DEPLOYMENT:NAME=VALUE, such as staff-service:VARIANT=bad", quoted(text))
		o.Set = append(o.Set, local.Setting{Target: target, Name: name, Value: value})
	}
	wrong.readNumbers("--replicas", f.replicas, math.MaxInt, "DEPLOYMENT=NUMBER, such as staff-service=2", o.Replicas)
	wrong.readNumbers("--node-port", f.nodePorts, 65535, "SERVICE=PORT, such as fleetman-webapp=8081, and the port 0 to 65535", o.NodePorts)
	return errors.Join(wrong...)
}

// readNumbers reads the values NAME=NUMBER of a flag, each number from 0 to a highest one.
func (m *mistakes) readNumbers(flag string, texts []string, highest int, must string, to map[string]int) {
	for _, text := range texts {
		name, digits, _ := strings.Cut(text, "=")
		number, err := strconv.Atoi(digits)
		m.must(err == nil && name != "" && number >= 0 && number <= highest, "%s %s: must be %s", flag, quoted(text), must)
		to[name] = number
	}
}

func up(cmd *cobra.Command, where places, f upFlags, args []string) error {
	stdout, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	options, err := f.options(where)
	if err != nil {
		return usage.Error{Err: err}
	}
	paths, objects, err := load(where, args)
	if err != nil {
		return err
	}
	options.Progress = func(line string) { fmt.Fprintln(stderr, line) }
	began := time.Now()
	// The lock comes before the build, which takes minutes.
	unlock, err := local.Lock(where.state)
	if err != nil {
		return err
	}
	defer unlock()
	options.Locked = true
	page, err := openConsole(f.consolePort, cmd.Flags().Changed("console-port"), &options, stderr)
	if err != nil {
		return err
	}
	defer page.Close()
	fleet, meshed, err := start(cmd.Context(), where, f, objects, options, stderr)
	if err != nil {
		return err
	}
	end := fleet.Stop
	if meshed != nil {
		end = meshed.Stop
	}
	defer end()
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	if err := page.serve(fleet, meshed, where, paths, stderr); err != nil {
		return err
	}
	server, err := control.Serve(where.state, control.Fleet{
		Fleet: fleet, Mesh: meshed, Manifests: paths, Objects: objects, Stop: stop,
		Applied: func(paths []string, applied mesh.Applied) {
			page.applied(paths)
			fmt.Fprintf(stderr, "%s apply %s: %s\n", time.Now().Format("15:04:05.000"), shellPaths(paths), changes(applied))
		},
	})
	if err != nil {
		return err
	}
	defer server.Close()

	show := &printer{w: stdout, colour: coloured(stdout, where.environ)}
	show.pods(control.Status{Pods: fleet.Pods(), NodePorts: fleet.NodePorts()})
	page.print(show)
	fmt.Fprintf(stderr, "ready after %.1f s; Ctrl-C ends it\n", time.Since(began).Seconds())
	f.follow(ctx, fleet, end, stdout, stderr)
	if meshed == nil || meshed.Err() == nil {
		return nil
	}
	return finalError{meshed.Err()}
}

// load returns the absolute paths of manifests, without arguments those of the base, and their objects.
func load(where places, args []string) (paths []string, objects *manifest.Objects, err error) {
	switch {
	case len(args) > 0:
		paths, err = where.manifests(args)
	case where.root == "":
		err = noRepository(", or name a directory or files")
	default:
		paths = []string{filepath.Join(where.root, "k8s", "base")}
	}
	if err == nil {
		paths, err = absolute(paths)
	}
	if err != nil {
		return nil, nil, err
	}
	objects, err = manifest.Load(paths...)
	return paths, objects, err
}

// follow prints events until the context ends, then stops the fleet.
func (f upFlags) follow(ctx context.Context, fleet *local.Fleet, end func(), stdout, stderr io.Writer) {
	var logging sync.WaitGroup
	if f.logs {
		logging.Go(func() {
			// It ends with the fleet, so that the last lines are printed too.
			if err := fleet.Logs(context.WithoutCancel(ctx), "all", local.LogOptions{Follow: true, Prefix: true}, stdout); err != nil {
				fmt.Fprintf(stderr, "logs: %v\n", err)
			}
		})
	}
	logging.Go(func() { watch.Pods(ctx, fleet) })
	showEvents(ctx, fleet, time.Now(), stderr)

	fmt.Fprintln(stderr, "stopping")
	end()
	logging.Wait()
}

// start starts the fleet, and its mesh with --mesh; the mesh is nil without.
func start(ctx context.Context, where places, f upFlags, objects *manifest.Objects, options local.Options, stderr io.Writer) (*local.Fleet, *mesh.Mesh, error) {
	if !f.mesh {
		fleet, err := local.Start(ctx, objects, options)
		return fleet, nil, err
	}
	early := options
	early.Mesh = true
	if err := local.CheckStart(objects, early); err != nil { // before istiod is built, which takes minutes
		return nil, nil, err
	}
	found, err := where.source(options.Progress).Find(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, binary := range []binaries.Binary{found.Pilot, found.Envoy} {
		options.Progress(binary.String())
	}
	m, err := mesh.Start(ctx, objects, mesh.Options{
		Local: options, Binaries: found, IngressPort: f.ingressPort,
		Rejected: func(proxy, why string) {
			fmt.Fprintf(stderr, "%s ERROR %s: %s\n", time.Now().Format("15:04:05.000"), proxy, why)
		},
	})
	if err != nil {
		return nil, nil, err
	}
	return m.Fleet(), m, nil
}

// showEvents prints the events after a time until the context ends. Earlier
// ones are in the table already.
func showEvents(ctx context.Context, fleet *local.Fleet, from time.Time, w io.Writer) {
	for event := range fleet.Events(ctx) {
		if event.Time.After(from) {
			fmt.Fprintf(w, "%s %s %s: %s\n", event.Time.Format("15:04:05.000"), event.Pod, event.Kind, event.Detail)
		}
	}
}
