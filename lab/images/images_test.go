package main

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/skip"
)

// registry keeps the tests' images apart from those of whoever runs them.
const registry = "fleetman.test/"

// needDocker is an engine's client at the repository's root, with all that images are built on,
// and the services.
func needDocker(t *testing.T) (docker, []string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	d := docker{command: command(os.Getenv), root: root, commit: commit{"0123456789abcdef", time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)}, source: "https://sources.example/fleet"}
	if err := d.answers(t.Context()); err != nil {
		skip.Without(t, err)
	}
	// a build's network is the machine's: its way to the registries is the one that is known to work
	d.flags = []string{"--network", "host"}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
		if os.Getenv(name) != "" {
			d.flags = append(d.flags, "--build-arg", name)
		}
	}
	names, err := services(root)
	require.NoError(t, err)
	needBases(t, d, names)
	return d, names
}

// mustBuild builds i, for as long as the test runs; the build's log is shown when that fails.
func (d docker) mustBuild(t *testing.T, i image) built {
	t.Helper()
	var log bytes.Buffer
	d.stderr = &log
	began := time.Now()
	b, err := d.build(t.Context(), i)
	require.NoError(t, err, "%s", &log)
	t.Cleanup(func() { d.cleanUp(t, "image", "rm", i.name) })
	t.Logf("%s %s %.1f MB in %.1f s", i.name, b.id, float64(b.size)/1e6, time.Since(began).Seconds())
	return b
}

func (d docker) must(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := d.run(ctx, args...)
	require.NoError(t, err)
	return strings.TrimSpace(out)
}

const largest int64 = 25e6 // bytes of an image's files

// Real images by a real engine: what is in them, that they come out the same again, and what they
// answer.
func TestImages(t *testing.T) {
	d, names := needDocker(t)
	contents := map[string]string{}
	for _, i := range append(own(names, registry, "6"), published(names, registry, "6", "")...) {
		b := d.mustBuild(t, i)
		contents[i.name] = d.contents(t, b)
		assert.LessOrEqual(t, b.size, largest, i.name)
	}
	for _, s := range names {
		t.Run("contents/"+s, func(t *testing.T) { checkContents(t, d, s, registry+"fleetman/"+s+":6", "amd64", elf.EM_X86_64) })
	}
	for _, s := range names {
		t.Run("arm64/"+s, func(t *testing.T) {
			d := d
			d.platform = "linux/arm64"
			i := own([]string{s}, registry, "6-arm64")[0]
			i.version = "6"
			assert.LessOrEqual(t, d.mustBuild(t, i).size, largest)
			checkContents(t, d, s, i.name, "arm64", elf.EM_AARCH64)
		})
	}
	t.Run("again", func(t *testing.T) { checkAgain(t, d, contents) })
	t.Run("fleet", func(t *testing.T) { checkFleet(t, d) })
	t.Run("variants", func(t *testing.T) { checkVariants(t, d) })
}

// contents is what has to be the same of two images of the same sources: the id,
// or, without the commit's time, the files' and the settings.
func (d docker) contents(t *testing.T, b built) string {
	t.Helper()
	if b.stamped {
		return b.id
	}
	return d.must(t, "image", "inspect", "--format", "{{.Architecture}} {{json .RootFS}} {{json .Config}}", b.id)
}

// A copy of the sources, with other times and modes, compiled from nothing: the same image. Of the
// services in Go alone one stands for all; the webapp's page is built by npm besides.
func checkAgain(t *testing.T, d docker, contents map[string]string) {
	for service, publishedAs := range map[string]string{"staff-service": "staff-service", "webapp": "webapp-angular"} {
		t.Run(service, func(t *testing.T) {
			i := own([]string{service}, registry, "6")[0]
			first := contents[i.name]
			d := d
			d.root = copyOf(t, d.root, service)
			i.name += "-again"
			assert.Equal(t, first, d.contents(t, d.mustBuild(t, i)), "again")
			assert.Equal(t, first, contents[registry+"richardchesterwood/istio-fleetman-"+publishedAs+":6"], "the published form")
		})
	}
}

// copyOf is all that the service's image is built of, in a directory of its own.
func copyOf(t *testing.T, from, service string) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"kit", "services/" + service} {
		require.NoError(t, os.CopyFS(filepath.Join(root, dir), sources{os.DirFS(filepath.Join(from, dir))}))
	}
	for _, name := range []string{"LICENSE", "NOTICE", ".dockerignore", "services/" + service + "/Dockerfile"} {
		text, err := os.ReadFile(filepath.Join(from, name))
		require.NoError(t, err)
		if filepath.Base(name) == "Dockerfile" {
			text = []byte(withoutCaches(t, string(text)))
		}
		file := filepath.Join(root, name)
		require.NoError(t, errors.Join(os.WriteFile(file, text, 0o600), os.Chmod(file, 0o600)))
	}
	return root
}

// sources are a service's files without what was brought and built.
type sources struct{ fs.FS }

func (s sources) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(s.FS, name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "node_modules" || e.Name() == "dist" }), err
}

// withoutCaches makes a Dockerfile's build use no layer, no page and no compiled package of another.
// (docker build --no-cache would take them from all later builds, too, and the modules.)
func withoutCaches(t *testing.T, dockerfile string) string {
	t.Helper()
	const packages = "type=cache,target=/root/.cache/go-build"
	stages := regexp.MustCompile(` AS \w+\n`)
	require.Regexp(t, stages, dockerfile)
	require.Equal(t, 1, strings.Count(dockerfile, packages), "%q in\n%s", packages, dockerfile)
	dockerfile = stages.ReplaceAllString(dockerfile, "${0}ENV AGAIN="+strconv.FormatInt(time.Now().UnixNano(), 10)+"\n")
	return strings.Replace(dockerfile, packages, strings.Replace(packages, "cache", "tmpfs", 1), 1)
}

// config has the fields of an image's configuration that the tests use.
type config struct {
	Architecture, OS string
	Config           struct {
		User            string
		Entrypoint, Cmd []string
		Healthcheck     any
		Volumes         map[string]any
		Labels          map[string]string
	}
}

// archived is an image in the manifest.json of an archive that docker save writes.
type archived struct {
	Config string
	Layers []string
}

func readArchive(from io.Reader) (map[string][]byte, error) {
	files := map[string][]byte{}
	for in := tar.NewReader(from); ; {
		header, err := in.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if files[strings.TrimPrefix(header.Name, "./")], err = io.ReadAll(in); err != nil {
			return nil, err
		}
	}
}

func checkContents(t *testing.T, d docker, service, name, architecture string, machine elf.Machine) {
	saved := d.must(t, "image", "save", name)
	files, err := readArchive(strings.NewReader(saved))
	require.NoError(t, err)
	var images []archived
	var c config
	require.NoError(t, json.Unmarshal(files["manifest.json"], &images))
	require.Len(t, images, 1)
	require.NoError(t, json.Unmarshal(files[images[0].Config], &c))
	assert.Equal(t, "linux/"+architecture, c.OS+"/"+c.Architecture)
	assert.Equal(t, "65532:65532", c.Config.User)
	assert.Equal(t, []string{"/usr/bin/" + service}, c.Config.Entrypoint)
	assert.Empty(t, c.Config.Cmd)
	assert.Nil(t, c.Config.Healthcheck)
	assert.Empty(t, c.Config.Volumes)
	labels := map[string]string{
		"org.opencontainers.image.title":    service,
		"org.opencontainers.image.source":   "https://sources.example/fleet",
		"org.opencontainers.image.revision": "0123456789abcdef",
		"org.opencontainers.image.version":  "6",
		"org.opencontainers.image.licenses": "MIT",
	}
	assert.Equal(t, labels, c.Config.Labels)
	require.Len(t, images[0].Layers, 1)
	layer := files[images[0].Layers[0]]
	checkFiles(t, layer, service)
	programs, err := readArchive(bytes.NewReader(layer))
	require.NoError(t, err)
	program, err := elf.NewFile(bytes.NewReader(programs["usr/bin/"+service]))
	require.NoError(t, err)
	assert.Equal(t, machine, program.Machine)
	libraries, err := program.ImportedLibraries()
	require.NoError(t, err)
	assert.Empty(t, libraries)
}
