package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fleetman.example/lab/control"
	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/usage"
)

// fleetStatus is the JSON of status.
type fleetStatus struct {
	control.Status
	Mesh *mesh.Status `json:"mesh,omitempty"` // nil without a mesh
}

func statusCommand(where *places) *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the running fleet on one screen: age, manifests, addresses, problems",
		Long: `Show the running fleet on one screen: its age, its manifests, the addresses that a
browser can open, pods that are not ready, faults that are set, breakers that are
not closed, and of a mesh the proxies that are not in sync, rejected updates and
ejected hosts.

wide adds the table of pods.`,
		Example: `  fleetman status
  fleetman status -o yaml
  fleetman status --context kind-kind`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			status, err := where.statusWithMesh(cmd.Context())
			if err != nil {
				return err
			}
			return o.print(cmd, where.environ, status, func(p *printer) { p.status(&status) })
		},
	}
	o.add(cmd)
	where.addCluster(cmd)
	return cmd
}

// statusWithMesh returns the status of the fleet that the command line names, and of its mesh.
func (p *places) statusWithMesh(ctx context.Context) (status fleetStatus, err error) {
	client, err := p.fleet()
	if err != nil {
		return status, err
	}
	if status.Status, err = client.Status(ctx); err != nil || !status.HasMesh {
		return status, err
	}
	of, err := client.Mesh(ctx)
	status.Mesh = &of
	return status, err
}

func (p *printer) status(s *fleetStatus) {
	at := fmt.Sprintf("process %d", s.PID)
	if s.PID == 0 {
		at = s.State // of a cluster
	}
	p.field(plain, "running", "for %s, since %s, %s", age(s.Since), s.Since.Local().Format(time.DateTime), at)
	p.field(plain, "manifests", "%s", shellPaths(s.Manifests))
	for _, port := range s.NodePorts {
		p.field(ifNot(!port.NoPods), "address", "%s (%s)", url(port), port.Service)
	}
	ready := count(s.Pods, func(pod local.Pod) bool { return pod.Ready })
	p.field(ifNot(ready == len(s.Pods)), "pods", "%d of %d ready", ready, len(s.Pods))
	p.proxies(s.Mesh)
	for _, pod := range s.Pods {
		p.trouble(pod)
	}
	for _, b := range s.Breakers {
		p.line(red, "%s", breakerText(b))
	}
	if s.Mesh != nil {
		p.meshTrouble(s.Mesh)
	}
	if p.wide {
		p.line(plain, "")
		p.pods(s.Status)
	}
}

// shellPaths returns paths as arguments of a shell.
func shellPaths(paths []string) string {
	var quoted []string
	for _, path := range paths {
		quoted = append(quoted, usage.ShellWord(path))
	}
	return strings.Join(quoted, " ")
}

// proxies writes the line of the mesh.
func (p *printer) proxies(status *mesh.Status) {
	if status == nil {
		p.field(plain, "mesh", "none")
		return
	}
	inSync := count(status.Proxies, func(proxy mesh.ProxyStatus) bool { return proxy.Ready && proxy.Synced })
	var istiods []string
	for _, istiod := range status.Istiods() {
		istiods = append(istiods, istiod.Name+" "+istiodState(&istiod))
	}
	p.field(ifNot(status.Good()), "mesh", "%s, %d of %d proxies in sync", strings.Join(istiods, ", "), inSync, len(status.Proxies))
}

func (p *printer) field(colour, name, format string, args ...any) {
	p.line(colour, "%-10s %s", name, fmt.Sprintf(format, args...))
}

func breakerText(b control.Breaker) string {
	text := fmt.Sprintf("%s: breaker of %s is %s", b.Pod, faults.BreakerName(b.Upstream, b.Endpoint), b.State)
	if !b.Until.IsZero() {
		text += " until " + b.Until.Local().Format("15:04:05.000")
	}
	if b.LastFailure != "" {
		text += ": " + b.LastFailure
	}
	return text
}
