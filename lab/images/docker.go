package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// docker builds images of one commit with a Docker engine.
type docker struct {
	command  string // the client
	root     string // of the repository
	platform string // "": the engine's own
	source   string // "": the Dockerfile's
	commit   commit
	flags    []string  // more for docker build
	stderr   io.Writer // gets the build's progress
}

// command returns the client: the value of DOCKER, or docker.
func command(getenv func(string) string) string {
	if c := getenv("DOCKER"); c != "" {
		return c
	}
	return "docker"
}

// run runs the client and returns its output.
func (d docker) run(ctx context.Context, args ...string) (string, error) {
	return output(exec.CommandContext(ctx, d.command, args...))
}

// answers returns an error unless an engine answers.
func (d docker) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if _, err := d.run(ctx, "version", "--format", "{{.Server.Version}}"); err != nil {
		return fmt.Errorf("no Docker engine (Debian: apt-get install docker.io, then start dockerd): %w", err)
	}
	return nil
}

type built struct {
	id   string // sha256:…
	size int64  // of its files, in bytes
	// stamped reports whether its time is the commit's, so that the same sources
	// give the same id; else only its files and settings are the same.
	stamped bool
}

// build builds i and gives it its name.
func (d docker) build(ctx context.Context, i image) (built, error) {
	id, err := d.fromDockerfile(ctx, i)
	if err != nil {
		return built{}, fmt.Errorf("build %s: %w", i.name, err)
	}
	if _, err := d.run(ctx, "tag", id, i.name); err != nil {
		return built{}, err
	}
	text, err := d.run(ctx, "image", "inspect", "--format", `{"size":{{.Size}},"created":{{json .Created}}}`, id)
	if err != nil {
		return built{}, err
	}
	var image struct {
		Size    int64
		Created time.Time
	}
	if err := json.Unmarshal([]byte(text), &image); err != nil {
		return built{}, fmt.Errorf("inspect %s: %.100q: %w", i.name, text, err)
	}
	// BuildKit before 0.11, which is that of engines before Docker 23, does not know SOURCE_DATE_EPOCH
	return built{id, image.Size, image.Created.Equal(d.commit.time)}, nil
}

func (d docker) fromDockerfile(ctx context.Context, i image) (id string, err error) {
	dir, err := os.MkdirTemp("", "image-*")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	idFile := filepath.Join(dir, "id")

	args := []string{"build", "--iidfile", idFile, "--file", filepath.Join(d.root, "services", i.service, "Dockerfile")}
	if d.platform != "" {
		args = append(args, "--platform", d.platform)
	}
	args = append(args, d.flags...)
	values := map[string]string{
		"VERSION": i.version, "REVISION": d.commit.revision,
		"SOURCE_DATE_EPOCH": strconv.FormatInt(d.commit.time.Unix(), 10), // BuildKit's own, since 0.11
	}
	maps.Copy(values, i.args)
	if d.source != "" {
		values["SOURCE"] = d.source
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		args = append(args, "--build-arg", name+"="+values[name])
	}
	c := exec.CommandContext(ctx, d.command, append(args, d.root)...)
	// BuildKit, also where it is not the default. Its attestations contain the time and the machine of
	// the build, which must not change the image.
	c.Env = append(os.Environ(), "DOCKER_BUILDKIT=1", "BUILDX_NO_DEFAULT_ATTESTATIONS=1")
	c.Stdout, c.Stderr = d.stderr, d.stderr
	if err := c.Run(); err != nil {
		return "", err
	}
	text, err := os.ReadFile(idFile)
	return strings.TrimSpace(string(text)), err
}
