package main

import (
	"github.com/spf13/cobra"

	"fleetman.example/lab/scenario"
)

func scenariosCommand(where *places) *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "scenarios",
		Short: "List the scenarios; up, apply and check accept their names",
		Example: `  fleetman scenarios
  fleetman scenarios -o wide
  fleetman up --mesh canary-weighted`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := where.find(); err != nil {
				return err
			}
			if where.root == "" {
				return noRepository("")
			}
			all, err := scenario.List(where.scenarios())
			if err != nil {
				return err
			}
			return o.print(cmd, where.environ, all, func(p *printer) {
				var rows []row
				for _, s := range all {
					rows = append(rows, row{cells: p.columns([]string{s.Name, s.Title}, s.Dir)})
				}
				p.table(p.columns([]string{"SCENARIO", "TITLE"}, "DIRECTORY"), rows)
			})
		},
	}
	o.add(cmd)
	return cmd
}
