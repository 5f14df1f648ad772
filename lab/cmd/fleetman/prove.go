//go:build !local

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"fleetman.example/lab/compare"
	"fleetman.example/lab/lint"
	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/record"
	"fleetman.example/lab/report"
	"fleetman.example/lab/usage"
)

// errNotShown is the error of a proof whose runs did not show the finding.
var errNotShown = errors.New("the goal is missed: these runs do not show the finding")

// proveFinding runs the experiment that shows a rule's finding, and prints what each arm
// showed.
func (f *lintFlags) proveFinding(cmd *cobra.Command, where places, manifests *lint.Manifests, paths []string) error {
	paths, err := absolute(paths)
	if err != nil {
		return err
	}
	network, err := podNetwork(f.network)
	if err != nil {
		return usage.Error{Err: err}
	}
	out := filepath.Join(where.state, "..", "lint", time.Now().Format("20060102-150405"))
	dump, err := manifests.Dump(f.prove, f.options)
	if err != nil {
		return err
	}
	if dump != nil {
		return f.proveByDump(cmd, where, dump, out, network)
	}
	e, err := manifests.Prove(f.prove, f.options, paths, out)
	if err != nil {
		return err
	}
	if err := e.Check(report.Figures()); err != nil {
		return fmt.Errorf("the experiment of rule %s: %w", f.prove, err)
	}
	stdout, progress := cmd.OutOrStdout(), func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
	fmt.Fprintf(stdout, "%s\n%s\n", e.Finding, e.Describe())
	if e.Note != "" {
		fmt.Fprintln(stdout, "for a short run: "+e.Note)
	}
	if err := writeObjects(out, e); err != nil {
		return err
	}
	comparison, err := compare.New(compare.Options{
		Experiment: e.Experiment, Command: cmd.CommandPath(), Root: where.root, Bin: f.bin, Out: out, Environ: where.environ,
		Network: network, Measurements: 1, Binaries: where.source(progress).Find, Progress: progress,
	})
	if err != nil {
		return err
	}
	if err := comparison.Run(cmd.Context()); err != nil {
		return interrupted(cmd.Context(), err, nil)
	}
	records, err := record.ReadDir(out)
	if err != nil {
		return err
	}
	line, met, err := e.Result(records.Runs)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, line)
	fmt.Fprintf(cmd.ErrOrStderr(), "records and the repaired objects in %s; fleetman report shows more\n", out)
	if !met {
		return errNotShown
	}
	return nil
}

// writeObjects writes the objects that the arms have instead of the manifests'.
func writeObjects(out string, e *lint.Experiment) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("records: %w", err)
	}
	for arm, text := range map[string][]byte{lint.AsWritten: e.Written, lint.Repaired: e.Repaired} {
		if len(text) == 0 {
			continue
		}
		if err := os.WriteFile(lint.ObjectsFile(out, arm), text, 0o644); err != nil {
			return fmt.Errorf("records: %w", err)
		}
	}
	return nil
}

// proveByDump starts a mesh with one pod, and compares what istiod generates for
// its proxy with the manifests as they are, without the field, and repaired.
func (f *lintFlags) proveByDump(cmd *cobra.Command, where places, d *lint.Dump, out string, network netip.Prefix) error {
	progress := func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
	fmt.Fprintln(cmd.OutOrStdout(), d.Finding)
	binaries, err := where.source(progress).Find(cmd.Context())
	if err != nil {
		return err
	}
	node := network.Masked().Addr().As4()
	node[3] = 250
	m, err := mesh.Start(cmd.Context(), d.Written, mesh.Options{Binaries: binaries, Local: local.Options{
		Root: where.root, Bin: f.bin, State: filepath.Join(out, "fleet"), Environ: where.environ,
		Network: network, NodeAddress: netip.AddrFrom4(node), Replicas: d.Replicas, Progress: progress,
	}})
	if err != nil {
		return interrupted(cmd.Context(), err, nil)
	}
	defer m.Stop()
	var found [3]string
	for i, objects := range []*manifest.Objects{d.Written, d.Without, d.Repaired} {
		if objects == nil {
			continue
		}
		if found[i], err = clustersWith(cmd.Context(), m, d, objects); err != nil {
			return interrupted(cmd.Context(), err, nil)
		}
	}
	line, proven := d.Result(found[0], found[1], found[2])
	fmt.Fprintln(cmd.OutOrStdout(), line)
	if !proven {
		return errNotShown
	}
	return nil
}

func clustersWith(ctx context.Context, m *mesh.Mesh, d *lint.Dump, objects *manifest.Objects) (string, error) {
	if _, err := m.Apply(ctx, objects); err != nil {
		return "", err
	}
	for _, pod := range m.Fleet().Pods() {
		if pod.Deployment == d.Workload {
			return d.Clusters(ctx, m.Status(ctx).Istiod.HTTP, pod.Name)
		}
	}
	return "", fmt.Errorf("%s: no pod: must have one", d.Workload)
}
