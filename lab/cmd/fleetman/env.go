package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"fleetman.example/lab/mesh"
	"fleetman.example/lab/process"
	"fleetman.example/lab/usage"
)

func envCommand(where *places) *cobra.Command {
	var shell string
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print shell commands that point kubectl and istioctl to the mesh",
		Long: `Print shell commands that set KUBECONFIG to the mesh of the fleet's directory, and
put the istioctl of its version on the PATH. They are valid for every mesh with
that directory, before it is started too.`,
		Example: `  eval "$(fleetman env)"
  fleetman env --shell fish | source`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if shell == "" && filepath.Base(process.Getenv(where.environ)("SHELL")) == "fish" {
				shell = "fish"
			}
			shell = cmp.Or(shell, shells[0])
			if !slices.Contains(shells, shell) {
				return usage.Errorf("--shell %s: must be one of %s", quoted(shell), strings.Join(shells, ", "))
			}
			if err := where.find(); err != nil {
				return err
			}
			state, err := filepath.Abs(where.state)
			if err != nil {
				return fmt.Errorf("--state: %w", err)
			}
			bin := filepath.Join(state, "bin")
			if err := where.linkIstioctl(cmd.Context(), bin); err != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "fleetman: istioctl is not put on the PATH: %v\n", err)
				bin = ""
			}
			if slices.Contains(filepath.SplitList(process.Getenv(where.environ)("PATH")), bin) {
				bin = "" // it is there already
			}
			fmt.Fprint(cmd.OutOrStdout(), exports(shell, mesh.Kubeconfig(state), bin))
			return nil
		},
	}
	cmd.Flags().StringVar(&shell, "shell", "", "shell: "+strings.Join(shells, ", ")+" (default: fish in fish, else sh)")
	completeFlag(cmd, "shell", fixed(shells))
	return cmd
}

var shells = []string{"sh", "fish"}

// exports returns the shell commands. An empty bin is not put on the PATH.
func exports(shell, kubeconfig, bin string) string {
	set, path, word := "export KUBECONFIG=%s\n", "export PATH=%s:\"$PATH\"\n", usage.ShellWord
	if shell == "fish" {
		set, path, word = "set -gx KUBECONFIG %s\n", "set -gx PATH %s $PATH\n", fishWord
	}
	text := fmt.Sprintf(set, word(kubeconfig))
	if bin != "" {
		text += fmt.Sprintf(path, word(bin))
	}
	return text
}

// linkIstioctl makes a link in bin to the istioctl whose name has a version.
func (p *places) linkIstioctl(ctx context.Context, bin string) error {
	istioctl, err := p.source(nil).AtHand().Istioctl(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	link := filepath.Join(bin, "istioctl")
	if old, err := os.Readlink(link); err == nil && old == istioctl.Path {
		return nil
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(istioctl.Path, link)
}

// fishWord returns a path as fish reads it, which escapes with \ between quotes.
func fishWord(path string) string {
	if usage.ShellWord(path) == path {
		return path
	}
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(path) + "'"
}
