package main

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	roots = "/etc/ssl/certs/ca-certificates.crt"
	// fingerprintLabel is the label of a base image that was made on this machine. Its value is the fingerprint.
	fingerprintLabel = "fleetman.example.made-from"
)

// from matches the lines of a Dockerfile that name a base image; its group is the image.
var from = regexp.MustCompile(`(?m)^FROM (?:--platform=\S+ )?(\S+:\S+)`)

// needBases provides the engine with the base images of the services' Dockerfiles.
func needBases(t *testing.T, d docker, services []string) {
	t.Helper()
	done := map[string]bool{}
	for _, s := range services {
		text, err := os.ReadFile(filepath.Join(d.root, "services", s, "Dockerfile"))
		require.NoError(t, err)
		for _, match := range from.FindAllStringSubmatch(string(text), -1) {
			if name := match[1]; !done[name] {
				needBase(t, d, name)
				done[name] = true
			}
		}
	}
	require.Len(t, done, 2, "one image of Go and one of Node")
}

// needBase provides the engine with a base image. It uses the engine's own image or pulls it. Where no registry can be
// reached, it makes the image of this machine's programs, and removes it when the test ends.
func needBase(t *testing.T, d docker, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	label, err := d.run(ctx, "image", "inspect", "--format", `{{index .Config.Labels "`+fingerprintLabel+`"}}`, name)
	present, madeFrom := err == nil, strings.TrimSpace(label)
	if present && madeFrom == "" {
		return // it came from a registry
	}
	if !present {
		if _, err := d.run(ctx, "pull", "--quiet", name); err == nil {
			return
		}
	}
	b := newBase(t, name)
	if fingerprint := b.fingerprint(t); madeFrom != fingerprint {
		t.Logf("%s is made of this machine's programs", name)
		b.load(ctx, t, d, name, fingerprint)
	}
	// The image has the name of a registry's image. It is removed so that no later build takes it for that one.
	t.Cleanup(func() { d.cleanUp(t, "image", "rm", name) })
}

// base is a base image that is made of this machine's programs. The keys of its maps are paths in the image.
type base struct {
	version string            // of the programs
	trees   map[string]string // directories of this machine
	files   map[string]string // files of this machine
	links   map[string]string // targets of symbolic links
	env     []string
}

// newBase returns the base image with a name such as golang:1.26.8-alpine.
func newBase(t *testing.T, name string) base {
	t.Helper()
	repository, tag, _ := strings.Cut(name, ":")
	version, _, _ := strings.Cut(tag, "-")
	switch repository {
	case "golang":
		return goBase(t, version)
	case "node":
		return nodeBase(t, version)
	}
	t.Fatalf("%s cannot be pulled, and there is no recipe to make it", name)
	return base{}
}

// goBase returns an image with this machine's Go, which must have the version that is wanted.
func goBase(t *testing.T, wanted string) base {
	t.Helper()
	version, proxy := outputOf(t, "go", "env", "GOVERSION"), outputOf(t, "go", "env", "GOPROXY")
	require.Equal(t, "go"+wanted, version, "without this machine's Go the base image cannot be made")
	root := outputOf(t, "go", "env", "GOROOT")
	b := base{version: version, trees: map[string]string{}, files: map[string]string{}}
	for _, dir := range []string{"bin", "pkg", "src", "lib"} {
		b.trees["/usr/local/go/"+dir] = filepath.Join(root, dir)
	}
	for _, file := range []string{"go.env", "VERSION"} {
		b.files["/usr/local/go/"+file] = filepath.Join(root, file)
	}
	b.env = []string{"PATH=/usr/local/go/bin:/bin", "GOPATH=/go", "GOPROXY=" + proxy}
	return b
}

// sharedLibrary matches the path of a library in the output of ldd.
var sharedLibrary = regexp.MustCompile(`(?m)(/\S+) \(0x`)

// nodeBase returns an image with this machine's npm and Node, or with Node from npm if this machine has another major
// version than wanted. Minor versions may differ, because the programs that build the page are pinned in
// package-lock.json.
func nodeBase(t *testing.T, wanted string) base {
	t.Helper()
	version, node := outputOf(t, "node", "--version"), program(t, "node")
	if major, _, _ := strings.Cut(version, "."); !strings.HasPrefix("v"+wanted, major+".") {
		version = "v" + wanted
		node = outputOf(t, "npm", "exec", "--yes", "--package=node@"+wanted, "--", "node", "--print", "process.execPath")
	}
	npm := filepath.Dir(filepath.Dir(program(t, "npm"))) // the program is npm/bin/npm-cli.js
	b := base{
		version: version + " npm " + outputOf(t, "npm", "--version"),
		trees:   map[string]string{"/usr/lib/node_modules/npm": npm},
		files:   map[string]string{"/bin/node": node},
		links:   map[string]string{"/bin/npm": "/usr/lib/node_modules/npm/bin/npm-cli.js"},
		env:     []string{"PATH=/bin", "NODE_EXTRA_CA_CERTS=" + roots},
	}
	for _, match := range sharedLibrary.FindAllStringSubmatch(outputOf(t, "ldd", node), -1) {
		library := match[1]
		b.files[library] = library
		if strings.HasPrefix(filepath.Base(library), "libc.so.") {
			librt := filepath.Join(filepath.Dir(library), "librt.so.1") // not needed by node, but by native modules
			b.files[librt] = librt
		}
	}
	return b
}

// outputOf returns the output of a program, without leading and trailing space.
func outputOf(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := output(exec.Command(name, args...))
	require.NoError(t, err)
	return strings.TrimSpace(out)
}

// program returns the file of a program, with symbolic links resolved.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	require.NoError(t, err)
	return path
}

// fingerprint returns a hash of everything that determines the image. An image with another fingerprint is out of date.
func (b base) fingerprint(t *testing.T) string {
	t.Helper()
	certificates, err := os.ReadFile(roots)
	require.NoError(t, err)
	const recipe = 4 // to be incremented with every change of the files in a base
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, recipe, b.version, b.env, certificates)))[:16]
}

// applets are the programs that the image links to busybox: a shell, and the tools that the Dockerfiles and npm's
// scripts use.
var applets = []string{"sh", "env", "mkdir", "cp", "chmod", "ln", "find", "touch"}

// load packs the image and imports it into the engine.
func (b base) load(ctx context.Context, t *testing.T, d docker, name, fingerprint string) {
	t.Helper()
	busybox := program(t, "busybox")
	require.Equal(t, "ok", outputOf(t, "busybox", "sh", "-c", "echo ok"))
	args := []string{"import", "--platform", "linux/" + runtime.GOARCH, "--change", "LABEL " + fingerprintLabel + "=" + fingerprint, "--change", "ENV HOME=/root"}
	for _, e := range b.env {
		args = append(args, "--change", "ENV "+e)
	}
	c := exec.CommandContext(ctx, d.command, append(args, "-", name)...)
	in, err := c.StdinPipe()
	require.NoError(t, err)
	b.files["/bin/busybox"], b.files[roots] = busybox, roots
	packed := make(chan error, 1)
	go func() {
		out := tar.NewWriter(in)
		packed <- errors.Join(b.pack(out), out.Close(), in.Close())
	}()
	_, err = output(c)
	require.NoError(t, errors.Join(<-packed, err), "make %s", name)
}

// pack writes the image's files in sorted order and without their times. The same files then make the same layer, so the
// engine's build cache stays valid.
func (b base) pack(out *tar.Writer) error {
	for _, dir := range []string{"tmp/", "root/"} {
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o1777}); err != nil {
			return err
		}
	}
	links := map[string]string{"/usr/bin/env": "/bin/busybox"} // npm's scripts begin with #!/usr/bin/env
	for _, applet := range applets {
		links["/bin/"+applet] = "/bin/busybox"
	}
	maps.Copy(links, b.links)
	for _, at := range slices.Sorted(maps.Keys(links)) {
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: strings.TrimPrefix(at, "/"), Linkname: links[at]}); err != nil {
			return err
		}
	}
	for _, at := range slices.Sorted(maps.Keys(b.files)) {
		if err := packFile(out, at, b.files[at]); err != nil {
			return err
		}
	}
	for _, at := range slices.Sorted(maps.Keys(b.trees)) {
		tree := b.trees[at]
		err := filepath.WalkDir(tree, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			return packFile(out, at+strings.TrimPrefix(path, tree), path)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// packFile writes the file at path, with symbolic links resolved, as the image's file at. It skips what is no regular
// file.
func packFile(out *tar.Writer, at, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(at, "/"), Mode: int64(info.Mode().Perm()), Size: info.Size()}
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(out, file)
	return err
}
