//go:build !local

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/apimachinery/pkg/util/validation"

	"fleetman.example/lab/cluster"
	"fleetman.example/lab/faults"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/process"
	"fleetman.example/lab/usage"
)

// addCluster adds the flags of a command that works on a cluster, too.
func (p *places) addCluster(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&p.cluster.Context, "context", "", "work on a cluster: the name of its context in the kubeconfig (default: this machine)")
	flags.StringVar(&p.cluster.Kubeconfig, "kubeconfig", "", "with --context: path of the kubeconfig (default: $KUBECONFIG, else ~/.kube/config)")
	flags.StringVar(&p.cluster.Namespace, "namespace", "", "with --context: namespace of the fleet (default "+cluster.OwnNamespace+")")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		p.cluster.Progress = func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
		if err := p.checkFlags(cmd, []string{"kubeconfig", "namespace"}, nil); err != nil {
			return err
		}
		if cmd.Flags().Changed("context") && p.cluster.Context == "" {
			return usage.Error{Err: errors.New(`--context "": must be the name of a context of the kubeconfig`)}
		}
		if cmd.Flags().Changed("namespace") && len(validation.IsDNS1123Label(p.cluster.Namespace)) > 0 {
			return usage.Errorf("--namespace %s: must be at most 63 lower-case letters, digits and hyphens, with a letter or a digit at both ends", quoted(p.cluster.Namespace))
		}
		return nil
	}
}

// onCluster reports whether the command line names a cluster.
func (p *places) onCluster() bool { return p.cluster.Context != "" }

// connectCluster returns a client of the cluster that the command line names.
func (p *places) connectCluster() (*cluster.Client, error) {
	p.cluster.Getenv = process.Getenv(p.environ)
	client, err := cluster.NewClient(p.cluster)
	if err != nil {
		return nil, usage.Error{Err: err}
	}
	return client, nil
}

// fleet returns the fleet that the command line names.
func (p *places) fleet() (fleet, error) {
	if p.onCluster() {
		return p.connectCluster()
	}
	return p.connect()
}

// restartTimeout is how long a pod of a cluster may take to be ready after a crash: the kubelet waits up to
// five minutes before it starts a container again that crashed often.
const restartTimeout = 6 * time.Minute

// faults returns the access to the faults of the fleet's pods.
func (p *places) faults(ctx context.Context) (faults.Access, error) {
	if !p.onCluster() {
		return p.launcherFaults()
	}
	client, err := p.connectCluster()
	if err != nil {
		return faults.Access{}, err
	}
	if _, err := client.Pods(ctx); err != nil { // whose addresses Dial needs
		return faults.Access{}, err
	}
	admin, err := client.FaultClient(ctx)
	helper := func(ctx context.Context, _, address string) (net.Conn, error) {
		return client.DialHelper(ctx, 0, address)
	}
	return faults.Access{Client: admin, Dial: client.Dial, DialProxy: helper, RestartTimeout: restartTimeout}, err
}

// The flags of up for a cluster, and those that configure processes of this machine.
var (
	upClusterOnly = []string{"images", "dry-run", "yes"}
	upLocalOnly   = []string{"network", "node-address", "node-port", "ingress-port", "bin", "restart-backoff", "relays", "logs", "console-port"}
)

// clusterFlags are the flags of up for a cluster.
type clusterFlags struct{ dryRun, yes bool }

func (f *clusterFlags) add(cmd *cobra.Command, where *places) {
	flags := cmd.Flags()
	flags.StringVar(&where.cluster.Images, "images", "", "with --context: what stands before the names of the images, such as registry.example/team")
	flags.BoolVar(&f.dryRun, "dry-run", false, "with --context: print the ClusterRole that is needed and the objects, as YAML, and apply nothing")
	f.addYes(cmd)
}

func (f *clusterFlags) addYes(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.yes, "yes", false, "with --context: apply objects in namespaces such as istio-system without a question")
}

// checkFlags returns an error for a flag that does not go together with the place of the fleet: one of
// clusterOnly on this machine, or one of localOnly on a cluster.
func (p *places) checkFlags(cmd *cobra.Command, clusterOnly, localOnly []string) error {
	only, must := clusterOnly, "with --context"
	if p.onCluster() {
		only, must = localOnly, "without --context: it is for fleets on this machine"
	}
	for _, name := range only {
		if cmd.Flags().Changed(name) {
			return usage.Errorf("--%s: must be %s", name, must)
		}
	}
	return nil
}

// upTimeout is the default of --ready-timeout on a cluster, where images may have to be pulled.
const upTimeout = 3 * time.Minute

// upOnCluster is `fleetman up --context`.
func upOnCluster(cmd *cobra.Command, where places, f upFlags, args []string) error {
	stdout, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	options, err := f.options(where)
	if err != nil {
		return usage.Error{Err: err}
	}
	paths, objects, err := load(where, args)
	if err != nil {
		return err
	}
	client, err := where.connectCluster()
	if err != nil {
		return err
	}
	defer client.Close()
	o := cluster.UpOptions{
		Change: cluster.Change{Replicas: options.Replicas, Set: options.Set}, Manifests: paths,
		ReadyTimeout: upTimeout, Progress: where.cluster.Progress,
		Agree: func(objects []string) error { return f.cluster.agree(cmd, objects) },
	}
	if cmd.Flags().Changed("ready-timeout") {
		o.ReadyTimeout = f.readyTimeout
	}
	if f.cluster.dryRun {
		return client.Plan(objects, o, stdout)
	}
	began := time.Now()
	stays, upErr := upInSync(cmd.Context(), client, objects, o)
	if upErr != nil && !stays {
		return upErr
	}
	stay := "the fleet stays; " + client.DownCommand(client.Namespace()) + " ends it"
	status, err := client.Status(cmd.Context())
	if err != nil {
		return interrupted(cmd.Context(), fmt.Errorf("%w; %s", errors.Join(upErr, err), stay), func() string { return stay })
	}
	show := &printer{w: stdout, colour: coloured(stdout, where.environ)}
	show.pods(status)
	if upErr != nil {
		fmt.Fprintln(stderr, stay)
		return upErr
	}
	fmt.Fprintf(stderr, "ready after %.1f s; %s ends it\n", time.Since(began).Seconds(), client.DownCommand(client.Namespace()))
	return nil
}

// upInSync applies the manifests, and waits for the pods and, with a mesh, for their proxies. stays reports whether the
// fleet stays after an error.
func upInSync(ctx context.Context, client *cluster.Client, objects *manifest.Objects, o cluster.UpOptions) (stays bool, err error) {
	var earlier map[string]int // rejections
	var unread error           // after what Up finds wrong
	if objects.NeedsMesh() {
		earlier, unread = client.Rejections(ctx)
	}
	if err := client.Up(ctx, objects, o); err != nil {
		_, late := errors.AsType[*cluster.NotReadyError](err)
		return late, err
	}
	if unread != nil || !objects.NeedsMesh() {
		return true, unread
	}
	return true, client.AwaitMesh(ctx, earlier)
}

// agree lists objects outside of the fleet's namespaces, and asks whether to apply them.
func (f *clusterFlags) agree(cmd *cobra.Command, objects []string) error {
	stderr := cmd.ErrOrStderr()
	fmt.Fprintf(stderr, "the manifests have objects in other namespaces, which affect every workload there:\n  %s\n", strings.Join(objects, "\n  "))
	if f.yes {
		return nil
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return usage.Error{Err: errors.New("--yes: missing: must be given to apply objects in other namespaces, or answered at a terminal")}
	}
	fmt.Fprint(stderr, "apply them? [y/N] ")
	answer, err := bufio.NewReader(in).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer == "y" || answer == "yes" {
		return nil
	}
	return errors.Join(errors.New("not applied"), err)
}

// agreeOnce returns agree for many fleets: it asks for the objects that it has not asked for before.
func (f *clusterFlags) agreeOnce(cmd *cobra.Command) func(objects []string) error {
	agreed := map[string]bool{}
	return func(objects []string) error {
		objects = slices.DeleteFunc(slices.Clone(objects), func(o string) bool { return agreed[o] })
		if len(objects) == 0 {
			return nil
		}
		if err := f.agree(cmd, objects); err != nil {
			return err
		}
		for _, o := range objects {
			agreed[o] = true
		}
		return nil
	}
}

// downOnCluster is `fleetman down --context`.
func downOnCluster(cmd *cobra.Command, where *places) error {
	client, err := where.connectCluster()
	if err != nil {
		return err
	}
	defer client.Close()
	found, err := client.Down(cmd.Context())
	if err != nil {
		return err
	}
	did := "no fleet in namespace %s of cluster %s\n"
	if found {
		did = "removed the fleet of namespace %s from cluster %s\n"
	}
	fmt.Fprintf(cmd.ErrOrStderr(), did, client.Namespace(), where.cluster.Context)
	return nil
}
