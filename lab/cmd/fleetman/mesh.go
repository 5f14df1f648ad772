package main

import (
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"fleetman.example/lab/mesh"
)

func meshCommand(where *places) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "mesh",
		Short:   "Inspect the mesh of the running fleet",
		Example: "  fleetman mesh status",
	}
	subcommandsOnly(cmd)
	cmd.AddCommand(meshStatusCommand(where))
	return cmd
}

func meshStatusCommand(where *places) *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show whether proxies are in sync, rejected updates, retries and ejections",
		Long: `Show for each proxy the revision of its istiod, whether it has acknowledged that
istiod's latest configuration, the updates it rejected, and the hosts its outlier
detection ejected. Show for each of its upstreams, since the proxy started: requests
and retries sent, retries that succeeded, requests over the limits of the circuit
breaker, and ejections.

A proxy that does not answer within two seconds, ten on a cluster, is not ready.

The exit code is 1 when a proxy is not ready, not in sync or has rejected an
update, or istiod does not have an object of the manifests.`,
		Example: `  fleetman mesh status
  fleetman mesh status -o json | jq '.proxies[] | {name, synced, ejected}'
  fleetman mesh status --context kind-kind`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := where.fleet()
			if err != nil {
				return err
			}
			status, err := client.Mesh(cmd.Context())
			if err != nil {
				return err
			}
			if err := o.print(cmd, where.environ, status, func(p *printer) { p.mesh(&status) }); err != nil {
				return err
			}
			if !status.Good() {
				return errors.New("mesh status: not all is ready, in sync and applied")
			}
			return nil
		},
	}
	o.add(cmd)
	where.addCluster(cmd)
	return cmd
}

func (p *printer) mesh(status *mesh.Status) {
	var proxies, upstreams []row
	for _, proxy := range status.Proxies {
		cells := []string{
			proxy.Name, "http://" + proxy.Admin, orDash(proxy.Revision), yesNo(proxy.Ready), yesNo(proxy.Synced),
			strconv.Itoa(len(proxy.Rejected)), strconv.Itoa(len(proxy.Ejected)), strconv.Itoa(proxy.Restarts),
		}
		good := proxy.Ready && proxy.Synced && len(proxy.Rejected) == 0
		proxies = append(proxies, row{p.columns(cells, proxy.Address, orDash(number(proxy.PID)), orDash(proxy.Log)), ifNot(good)})
		for _, u := range proxy.Upstreams {
			upstreams = append(upstreams, row{cells: []string{
				proxy.Name, mesh.Upstream(u.Cluster), strconv.FormatUint(u.Tries, 10), strconv.FormatUint(u.Retries, 10),
				strconv.FormatUint(u.RetrySuccess, 10), strconv.FormatUint(u.Overflow, 10), strconv.FormatUint(u.Ejections, 10),
			}})
		}
	}
	p.table(p.columns([]string{"PROXY OF", "ADMIN", "REVISION", "READY", "SYNCED", "REJECTED", "EJECTED", "RESTARTS"}, "ADDRESS", "PROCESS", "LOG"), proxies)
	p.line(plain, "")
	p.table([]string{"PROXY OF", "UPSTREAM", "ATTEMPTS", "RETRIES", "SUCCEEDED", "OVERFLOW", "EJECTIONS"}, upstreams)
	p.line(plain, "")
	p.meshTrouble(status)
	for _, istiod := range status.Istiods() {
		p.line(ifNot(istiod.Ready), "%s: %s, %d restarts, revision %s", istiod.Name, istiodState(&istiod), istiod.Restarts, istiod.Revision)
	}
	if status.Kubeconfig == "" {
		return // a cluster's: the user has its kubectl and istioctl
	}
	p.line(plain, "for kubectl and istioctl: eval \"$(fleetman env)\"")
	p.line(plain, "all statistics of a proxy: ADMIN/stats/prometheus")
}

// meshTrouble writes the problems of a mesh, and the ejected hosts.
func (p *printer) meshTrouble(status *mesh.Status) {
	for _, proxy := range status.Proxies {
		if proxy.State != "running" {
			p.line(red, "%s: its proxy is %s", proxy.Name, proxy.State)
		}
		for _, why := range proxy.Rejected {
			p.line(red, "%s rejected: %s", proxy.Name, why)
		}
		for _, host := range proxy.Ejected {
			p.line(red, "%s ejected: %s", proxy.Name, host)
		}
	}
	for _, istiod := range status.Istiods() {
		for _, object := range istiod.NotApplied {
			p.line(red, "not applied by %s: %s", istiod.Name, object)
		}
	}
	for _, f := range status.Failures {
		p.line(red, "%s ERROR %s: %s", f.Time.Format("15:04:05.000"), f.Proxy, f.Why)
	}
}

func istiodState(status *mesh.IstiodStatus) string {
	if status.Ready {
		return "ready"
	}
	return "not ready, " + status.State
}
