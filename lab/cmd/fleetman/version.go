package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"fleetman.example/lab/mesh/binaries"
)

// version is the release; make install and the release set it when they link.
var version = "development"

// versions are those of this program and of what it starts.
type versions struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"` // the sources were not all committed
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Istio    string `json:"istio,omitempty"` // that the repository pins; empty outside of one
	Envoy    string `json:"envoy"`
	Commands string `json:"commands"` // all, or local: make run's, without clusters and measurements
}

// readVersion returns the program's version, from its build information.
func readVersion() versions {
	v := versions{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Envoy: binaries.EnvoyVersion, Commands: commands}
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return v
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			v.Commit = setting.Value
		case "vcs.modified":
			v.Modified = setting.Value == "true"
		}
	}
	return v
}

func (v versions) commit() string {
	switch {
	case v.Commit == "":
		return "not recorded"
	case v.Modified:
		return v.Commit + " (modified)"
	}
	return v.Commit
}

// String is the one line of --version.
func (v versions) String() string { return fmt.Sprintf("%s, commit %s", v.Version, v.commit()) }

func versionCommand(where *places) *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit, and the pinned Istio and Envoy",
		Long: `Print the version and the commit of this program, and the versions of Istio and
Envoy for a mesh. Istio's is pinned by the repository, and not shown outside of one.
The commands are all, or local: make run builds a program without clusters and
measurements, make install builds the whole one.`,
		Example: `  fleetman version
  fleetman version -o json`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := where.find(); err != nil {
				return err
			}
			v := readVersion()
			if where.root != "" {
				istio, err := where.source(nil).IstioVersion()
				if err != nil {
					return err
				}
				v.Istio = istio
			}
			return o.print(cmd, where.environ, v, func(p *printer) {
				for _, line := range [][2]string{
					{"fleetman", v.Version},
					{"commit", v.commit()},
					{"istio", orDash(v.Istio)},
					{"envoy", v.Envoy},
					{"go", v.Go + " " + v.Platform},
					{"commands", v.Commands},
				} {
					p.line(plain, "%-9s %s", line[0], line[1])
				}
			})
		},
	}
	o.add(cmd)
	return cmd
}
