package main

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"fleetman.example/lab/control"
	"fleetman.example/lab/local"
	"fleetman.example/lab/usage"
)

// podList is the JSON of pods.
type podList struct {
	Pods      []local.Pod      `json:"pods"`
	NodePorts []local.NodePort `json:"nodePorts"`
	HostsFile string           `json:"hostsFile"`
}

func podsCommand(where *places) *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "pods",
		Short: "Show the pods of the running fleet",
		Long: `Show the pods of the running fleet and the faults that are set. For a pod that is
not ready, show the reason and the time of its next start.

wide, json and yaml have the revision of the mesh's control plane, process ids and
log files too.`,
		Example: `  fleetman pods
  fleetman pods -o json | jq -r '.pods[].pid'
  fleetman pods --context kind-kind`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			status, err := where.status(cmd.Context())
			if err != nil {
				return err
			}
			return o.print(cmd, where.environ, podList{status.Pods, status.NodePorts, status.HostsFile}, func(p *printer) { p.pods(status) })
		},
	}
	o.add(cmd)
	where.addCluster(cmd)
	return cmd
}

// pods writes the table of pods and, below it, their problems and the addresses
// that a browser can open.
func (p *printer) pods(status control.Status) {
	var rows []row
	for _, pod := range status.Pods {
		cells := []string{pod.Name, address(pod), readiness(pod), strconv.Itoa(pod.Restarts), pod.Image, orDash(pod.Variant)}
		rows = append(rows, row{p.columns(cells, age(pod.Started), orDash(pod.Revision), orDash(number(pod.PID)), orDash(pod.Log)), ifNot(pod.Ready)})
	}
	p.table(p.columns([]string{"POD", "ADDRESS", "READY", "RESTARTS", "IMAGE", "VARIANT"}, "AGE", "REVISION", "PROCESS", "LOG"), rows)
	for _, pod := range status.Pods {
		p.trouble(pod)
	}
	for _, port := range status.NodePorts {
		p.line(ifNot(!port.NoPods), "%s: %s", port.Service, url(port))
	}
}

// trouble writes why a pod is not ready, and the faults that are set.
func (p *printer) trouble(pod local.Pod) {
	if why := explain(pod); why != "" {
		p.line(red, "%s is not ready: %s", pod.Name, why)
	}
	if pod.Faults != "" {
		p.line(red, "%s has faults: %s", pod.Name, pod.Faults)
	}
}

// url returns the address of a node port for a browser, or why there is nothing to see.
func url(port local.NodePort) string {
	if port.NoPods {
		return fmt.Sprintf("no pod is ready: connections to %s fail", port.Address)
	}
	return "http://" + port.Address.String()
}

// ifNot returns red unless good.
func ifNot(good bool) string {
	if good {
		return plain
	}
	return red
}

// number returns a number as text, or "" for 0: what has no process, or no step.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// address returns the address where a pod listens, with the port of its manifest
// when that is another: one that needs root, or that no Service has.
func address(pod local.Pod) string {
	if pod.Port == 0 {
		return pod.Address
	}
	text := net.JoinHostPort(pod.Address, strconv.Itoa(pod.Port))
	if pod.DeclaredPort != pod.Port {
		text += fmt.Sprintf(" (for %d)", pod.DeclaredPort)
	}
	return text
}

func readiness(pod local.Pod) string {
	switch {
	case pod.Ready:
		return "yes"
	case pod.State != "running":
		return "no, " + pod.State
	}
	return "no"
}

// explain returns why a pod is not ready, and when it is started again.
func explain(pod local.Pod) string {
	if pod.Ready || pod.NextTry.IsZero() {
		return pod.Why
	}
	return fmt.Sprintf("%s; next try at %s", pod.Why, pod.NextTry.Format("15:04:05.000"))
}

// age returns the time since then, in whole seconds.
func age(since time.Time) string {
	if since.IsZero() {
		return "-"
	}
	return time.Since(since).Round(time.Second).String()
}

func killCommand(where *places) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "kill POD",
		Short: "Send a signal to a pod of the running fleet",
		Long: `Send a signal to the process of a pod. The pod is restarted when its process ends.

TERM does what deleting a pod does on a cluster: the pod leaves the endpoints, its
preStop sleep passes, then the signal is sent, and the process has the grace
period to drain. Every other signal is sent at once.

POD may be istiod or istiod-REVISION, except on a cluster: the signal is sent at once.

On a cluster TERM deletes the pod and KILL deletes it without a grace period; its
Deployment replaces it. There are no other signals.`,
		Example: `  fleetman kill staff-service-0
  fleetman kill --signal KILL api-gateway
  fleetman kill --context kind-kind staff-service`,
		Args:              exactly("POD"),
		ValidArgsFunction: completeFirst(where.killTargets),
		RunE: func(cmd *cobra.Command, args []string) error {
			sig, err := parseSignal(name)
			if err != nil {
				return usage.Error{Err: err}
			}
			if where.onCluster() && sig != syscall.SIGTERM && sig != syscall.SIGKILL {
				return usage.Errorf("--signal %s: must be TERM or KILL with --context: the API of a cluster has no others", name)
			}
			client, err := where.fleet()
			if err != nil {
				return err
			}
			did, err := client.Kill(cmd.Context(), args[0], sig)
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), did)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&name, "signal", "TERM", strings.Join(signalNames(), ", ")+" or a number")
	completeFlag(cmd, "signal", fixed(signalNames()))
	where.addCluster(cmd)
	return cmd
}

var signals = map[string]syscall.Signal{
	"TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "QUIT": syscall.SIGQUIT,
	"ABRT": syscall.SIGABRT, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT,
}

func signalNames() []string { return slices.Sorted(maps.Keys(signals)) }

func parseSignal(text string) (syscall.Signal, error) {
	if number, err := strconv.Atoi(text); err == nil && number >= 1 && number <= 64 {
		return syscall.Signal(number), nil
	}
	if sig, ok := signals[strings.TrimPrefix(strings.ToUpper(text), "SIG")]; ok {
		return sig, nil
	}
	return 0, fmt.Errorf("--signal %s: must be a number from 1 to 64 or one of %s", quoted(text), strings.Join(signalNames(), ", "))
}
