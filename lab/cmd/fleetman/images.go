//go:build !local

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fleetman.example/lab/cluster/image"
	"fleetman.example/lab/gobuild"
	"fleetman.example/lab/usage"
)

// imageFlags are the values of the flags of `fleetman images`.
type imageFlags struct {
	tag, arch, prefix string
	name, address     string // of a node
}

// The services' own image tag, and the programs of the lab's image.
const (
	imageTag = "6"
	labImage = "lab"
)

// loaders are the commands that import an archive into the nodes of a cluster.
var loaders = map[string]func(f imageFlags, archive string) []string{
	"kind": func(f imageFlags, archive string) []string {
		return append([]string{"kind", "load", "image-archive", archive}, flagIf("--name", f.name)...)
	},
	"minikube": func(f imageFlags, archive string) []string {
		return append([]string{"minikube", "image", "load", archive}, flagIf("--profile", f.name)...)
	},
	"containerd": func(f imageFlags, archive string) []string {
		return []string{"ctr", "--address", f.address, "--namespace", "k8s.io", "images", "import", archive}
	},
}

func flagIf(flag, value string) []string {
	if value == "" {
		return nil
	}
	return []string{flag, value}
}

func imagesCommand(where *places) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "images",
		Short:   "Build the container images, and load them into a cluster",
		Example: "  fleetman images load kind",
	}
	subcommandsOnly(cmd)
	cmd.AddCommand(imagesLoadCommand(where), imagesSaveCommand(where))
	return cmd
}

func imagesLoadCommand(where *places) *cobra.Command {
	var f imageFlags
	cmd := &cobra.Command{
		Use:   "load kind|minikube|containerd",
		Short: "Build the images and load them into the nodes of a cluster",
		Long: `Build the images of the services and of the lab itself, without a container engine,
and load them into the nodes of a cluster: by kind, by minikube, or by ctr into the
containerd of this machine.

For a cluster that pulls its images: fleetman images save --images PREFIX, docker load,
docker push, and fleetman up --images PREFIX.`,
		Example: `  fleetman images load kind
  fleetman images load minikube --name second
  fleetman images load containerd --address /run/k3s/containerd/containerd.sock`,
		Args:      exactly("kind, minikube or containerd"),
		ValidArgs: []string{"kind", "minikube", "containerd"},
		RunE: func(cmd *cobra.Command, args []string) error {
			loader := loaders[args[0]]
			switch {
			case loader == nil:
				return usage.Errorf("%s: must be kind, minikube or containerd", quoted(args[0]))
			case args[0] == "containerd" && cmd.Flags().Changed("name"):
				return usage.Error{Err: errors.New("--name: must be with kind or minikube")}
			case args[0] != "containerd" && cmd.Flags().Changed("address"):
				return usage.Error{Err: errors.New("--address: must be with containerd")}
			}
			program := loader(f, "")[0]
			if _, err := exec.LookPath(program); err != nil {
				return fmt.Errorf("%s: must be on the PATH to load images into %s", program, args[0])
			}
			dir, err := os.MkdirTemp("", "fleetman-images-*")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			archive := filepath.Join(dir, "images.tar")
			names, err := f.save(cmd, where, archive)
			if err != nil {
				return err
			}
			command := loader(f, archive)
			out, err := exec.CommandContext(cmd.Context(), command[0], command[1:]...).CombinedOutput()
			if err != nil {
				return fmt.Errorf("%s: %w: %s", strings.Join(command[:2], " "), err, lastLine(string(out)))
			}
			for _, name := range names {
				fmt.Fprintln(cmd.OutOrStdout(), name)
			}
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.name, "name", "", "name of the kind cluster, or profile of minikube (default: theirs)")
	cmd.Flags().StringVar(&f.address, "address", "/run/containerd/containerd.sock", "socket of containerd")
	return cmd
}

func imagesSaveCommand(where *places) *cobra.Command {
	var f imageFlags
	cmd := &cobra.Command{
		Use:   "save FILE",
		Short: "Build the images and save them as an archive for docker load",
		Long: `Build the images of the services and of the lab itself, without a container engine,
and save them as one archive, which docker load, ctr images import and others read.`,
		Example: `  fleetman images save images.tar
  fleetman images save --images registry.example/team images.tar`,
		Args: exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput("", args[0]); err != nil {
				return usage.Error{Err: err}
			}
			names, err := f.save(cmd, where, args[0])
			for _, name := range names {
				fmt.Fprintln(cmd.OutOrStdout(), name)
			}
			return err
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.prefix, "images", "", "what stands before the names, such as registry.example/team")
	return cmd
}

func (f *imageFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.tag, "tag", imageTag, "tag of the images; the manifests have "+imageTag)
	flags.StringVar(&f.arch, "arch", "", "architecture of the nodes, amd64 or arm64 (default: that of this machine)")
	completeFlag(cmd, "arch", fixed([]string{"amd64", "arm64"}))
}

// save builds the programs and writes their images to a file. It returns the images' names.
func (f *imageFlags) save(cmd *cobra.Command, where *places, file string) ([]string, error) {
	if err := where.findRoot(); err != nil {
		return nil, err
	}
	arch := cmp.Or(f.arch, runtime.GOARCH)
	if arch != "amd64" && arch != "arm64" {
		return nil, usage.Errorf("--arch %s: must be amd64 or arm64", quoted(f.arch))
	}
	bin, services, err := buildImages(cmd.Context(), where.root, arch, func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) })
	if err != nil {
		return nil, err
	}
	var images []image.Image
	var names []string
	for _, service := range append(services, labImage) {
		i := image.Image{Name: path.Join(f.prefix, "fleetman", service) + ":" + f.tag, Program: filepath.Join(bin, service), Arch: arch}
		if service == labImage {
			i.Program = filepath.Join(bin, "fleetman")
		} else {
			i.Env = []string{"VARIANT=standard", "PROPAGATE_HEADERS=true"}
		}
		images, names = append(images, i), append(names, i.Name)
	}
	out, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	return names, errors.Join(image.Write(out, images), out.Close())
}

// buildImages builds the programs for an architecture, and returns their directory and the services' names.
func buildImages(ctx context.Context, root, arch string, progress func(string)) (bin string, services []string, err error) {
	modules, _ := fs.Glob(os.DirFS(root), "services/*/Dockerfile") // the pattern is a good one
	packages := []string{"./lab/cmd/fleetman"}
	for _, module := range modules {
		service := path.Base(path.Dir(module))
		services = append(services, service)
		packages = append(packages, "./services/"+service)
	}
	if _, err := os.Stat(filepath.Join(root, "services", "webapp", "ui", "dist", "index.html")); err != nil {
		return "", nil, errors.New("build webapp: its page is not built: run make ui")
	}
	slices.Sort(services)
	bin = filepath.Join(root, ".cache", "images", arch)
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", nil, err
	}
	progress(fmt.Sprintf("building %s and the lab for linux/%s (a minute the first time)", strings.Join(services, ", "), arch))
	err = gobuild.Build{
		Dir: root, Flags: []string{"-tags", "nomsgpack", "-ldflags", "-s -w -buildid="}, Packages: packages, Output: bin + string(filepath.Separator),
		Env: []string{"GOOS=linux", "GOARCH=" + arch}, Work: filepath.Join(bin, ".work"), Name: "the images", Every: 2 * time.Second, Progress: progress,
	}.Run(ctx)
	return bin, services, err
}

// lastLine returns the last line of a program's output.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndex(text, "\n")+1:]
}
