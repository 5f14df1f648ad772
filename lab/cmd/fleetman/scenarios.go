package main

import (
	"cmp"

	"github.com/spf13/cobra"

	"fleetman.example/lab/scenario"
)

func scenariosCommand(where *places) *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "scenarios",
		Short: "List the scenarios, step by step; up, apply and check accept their names",
		Example: `  fleetman scenarios
  fleetman scenarios -o wide
  fleetman up --mesh canary-weighted`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := where.findRoot(); err != nil {
				return err
			}
			all, err := scenario.List(where.scenarios())
			if err != nil {
				return err
			}
			return o.print(cmd, where.environ, all, func(p *printer) {
				var rows []row
				for _, s := range all {
					rows = append(rows, row{cells: p.columns([]string{number(s.Step), s.Name, cmp.Or(s.Why, s.Title)}, s.Title, s.Dir)})
				}
				p.table(p.columns([]string{"STEP", "SCENARIO", "WHAT THE ONE BEFORE LACKS"}, "TITLE", "DIRECTORY"), rows)
			})
		},
	}
	o.add(cmd)
	return cmd
}
