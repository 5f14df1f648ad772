package main

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fleetman.example/lab/control"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh/kube"
	"fleetman.example/lab/scenario"
)

// completeTimeout limits how long the fleet may take to answer a completion.
const completeTimeout = 2 * time.Second

// ask returns the status of the running fleet; an empty one without a fleet, or
// when it does not answer.
func (p *places) ask(cmd *cobra.Command) control.Status {
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
	defer cancel()
	status, _ := p.status(ctx) // the command itself reports the error
	return status
}

// completeFirst completes the first argument with names, which may have a
// description after a tab.
func completeFirst(names func(*cobra.Command) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(cmd), cobra.ShellCompDirectiveNoFileComp
	}
}

func podNames(status control.Status) (names []string) {
	for _, pod := range status.Pods {
		names = append(names, pod.Name)
	}
	return names
}

func serviceNames(status control.Status) (names []string) {
	for _, pod := range status.Pods {
		names = append(names, pod.Services...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// killTargets returns the names of pods and, on this machine, of istiods.
func (p *places) killTargets(cmd *cobra.Command) []string {
	status := p.ask(cmd)
	if p.onCluster() {
		return podNames(status)
	}
	return append(podNames(status), istiodNames(status)...)
}

// istiodNames returns the names of the istiods of a fleet with a mesh.
func istiodNames(status control.Status) []string {
	if !status.HasMesh {
		return nil
	}
	names := []string{kube.ControlPlane(manifest.DefaultRevision)}
	for _, pod := range status.Pods {
		names = append(names, kube.ControlPlane(cmp.Or(pod.Revision, manifest.DefaultRevision)))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// logNames returns the names of logs, those of a mesh too.
func (p *places) logNames(cmd *cobra.Command) []string {
	status := p.ask(cmd)
	names := append(podNames(status), "all\tevery pod")
	if status.HasMesh {
		for _, pod := range status.Pods {
			names = append(names, pod.Name+".envoy")
		}
		names = append(append(names, istiodNames(status)...), "istio-ingressgateway", "mesh\tistiod and every proxy")
	}
	return names
}

// faultTargets returns the Services and the pods that can have faults.
func (p *places) faultTargets(cmd *cobra.Command) []string {
	status := p.ask(cmd)
	return append(serviceNames(status), podNames(status)...)
}

// kinds are the kinds of faults, as rules begin with them.
var kinds = []string{"delay=", "status=", "reset", "hang", "truncate", "slow=", "crash"}

// completeFault completes SERVICE or POD, then the kind of a rule.
func (p *places) completeFault(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return p.faultTargets(cmd), cobra.ShellCompDirectiveNoFileComp
	case 1:
		return kinds, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeManifests completes the names of scenarios and of files.
func (p *places) completeManifests(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	if p.find() != nil || p.root == "" {
		return nil, cobra.ShellCompDirectiveDefault
	}
	all, _ := scenario.List(p.scenarios())
	names := described(all, func(s scenario.Listed) (string, string) { return s.Name, s.Title })
	return names, cobra.ShellCompDirectiveDefault
}

// completePrograms completes the part of a value before sep with the programs of
// the fleet.
func (p *places) completePrograms(sep string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		if p.find() != nil || p.root == "" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		entries, _ := os.ReadDir(filepath.Join(p.root, "services"))
		var names []string
		for _, entry := range entries {
			if entry.IsDir() {
				names = append(names, entry.Name()+sep)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// completeList completes the last of comma-separated names with one that is not
// among the others.
func completeList(names []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		before := typed[:strings.LastIndex(typed, ",")+1]
		given := strings.Split(before, ",")
		var left []string
		for _, name := range names {
			if word, _, _ := strings.Cut(name, "\t"); !slices.Contains(given, word) {
				left = append(left, before+name)
			}
		}
		return left, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// described returns names with descriptions after a tab.
func described[T any](known []T, of func(T) (name, meaning string)) (names []string) {
	for _, one := range known {
		names = append(names, cobra.CompletionWithDesc(of(one)))
	}
	return names
}

func fixed(names []string) cobra.CompletionFunc {
	return cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp)
}

// completeFlag adds the completion of a flag.
func completeFlag(cmd *cobra.Command, flag string, complete cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(err) // the command has no such flag
	}
}
