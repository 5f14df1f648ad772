// Command images builds the services' container images with Docker, so that the same commit is the
// same image, digest for digest, whenever and with whichever engine it is built.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

type options struct {
	root, registry, tag, services string
	published                     bool
	platform, source              string
}

func readOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("images", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.root, "root", ".", "root of the repository")
	flags.StringVar(&o.registry, "registry", "", "what stands before the images' names, such as registry.example:5000/")
	flags.StringVar(&o.tag, "tag", "6", "the images' tag, and their version")
	flags.StringVar(&o.services, "services", "", "only these, separated by commas")
	flags.BoolVar(&o.published, "published", false, "the names and variants of the published manifests")
	flags.StringVar(&o.platform, "platform", "", "linux/amd64 or linux/arm64; unset, the engine's own")
	flags.StringVar(&o.source, "source", "", "address of the sources, for the images' label")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("arguments: %q: must be none", flags.Args())
	}
	return o, nil
}

// run returns the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) (code int) {
	o, err := readOptions(args, stderr)
	if err == nil {
		err = build(ctx, o, getenv, stdout, stderr)
	}
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "images: interrupted")
		return 130 // the exit code of a shell after SIGINT
	}
	fmt.Fprintln(stderr, "images:", err)
	return 1
}

// build builds the images that o selects and prints name, id and unpacked size of each.
func build(ctx context.Context, o options, getenv func(string) string, stdout, stderr io.Writer) error {
	names, err := services(o.root)
	if err != nil {
		return err
	}
	images := own(names, o.registry, o.tag)
	if o.published {
		images = published(names, o.registry, o.tag, o.platform)
	}
	if images, err = only(images, o.services); err != nil {
		return err
	}
	at, err := readCommit(ctx, o.root)
	if err != nil {
		return err
	}
	d := docker{command: command(getenv), root: o.root, platform: o.platform, source: o.source, commit: at, stderr: stderr}
	if err := d.answers(ctx); err != nil {
		return err
	}
	stamped := true
	for _, i := range images {
		built, err := d.build(ctx, i)
		if err != nil {
			return err
		}
		stamped = stamped && built.stamped
		fmt.Fprintf(stdout, "%s %s %.1f MB\n", i.name, built.id, float64(built.size)/1e6)
	}
	if !stamped {
		fmt.Fprintln(stderr, "images: the images have the time of their build: with Docker 23 or newer they have the commit's, and the same sources give the same id")
	}
	return nil
}
