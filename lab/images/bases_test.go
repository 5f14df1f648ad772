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
	roots     = "/etc/ssl/certs/ca-certificates.crt"
	madeLabel = "fleetman.example.made-from" // of a base image that was made here
)

// from finds the images that Dockerfiles build on.
var from = regexp.MustCompile(`(?m)^FROM (?:--platform=\S+ )?(\S+:\S+)`)

// needBases sees to it that the engine has every image that a Dockerfile builds on: its own, else
// pulled, else made of this machine's programs, which is what a machine without a registry has.
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
	if len(done) != 2 {
		t.Fatalf("the Dockerfiles build on %v, want one image of Go and one of Node", done)
	}
}

func needBase(t *testing.T, d docker, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	made, err := d.run(ctx, "image", "inspect", "--format", `{{index .Config.Labels "`+madeLabel+`"}}`, name)
	if made = strings.TrimSpace(made); err == nil && made == "" {
		return // the registry's
	}
	if err != nil {
		if _, err := d.run(ctx, "pull", "--quiet", name); err == nil {
			return
		}
	}
	b := newBase(t, name)
	if fingerprint := b.fingerprint(t); made != fingerprint {
		t.Logf("%s is made of this machine's programs", name)
		b.load(ctx, t, d, name, fingerprint)
	}
	// its name is a registry's: whoever builds later is not to build on it unawares
	t.Cleanup(func() { d.afterwards(t, "image", "rm", name) })
}

// base is an image made of this machine's programs: files by their paths in the image.
type base struct {
	version string
	trees   map[string]string // directories
	files   map[string]string
	links   map[string]string
	env     []string
}

func newBase(t *testing.T, name string) base {
	t.Helper()
	repository, tag, _ := strings.Cut(name, ":")
	switch repository {
	case "golang":
		version, proxy := outputOf(t, "go", "env", "GOVERSION"), outputOf(t, "go", "env", "GOPROXY")
		wanted, _, _ := strings.Cut(tag, "-")
		if version != "go"+wanted {
			t.Fatalf("the Dockerfiles build with Go %s, this machine has %s: an image of it cannot be made here", wanted, version)
		}
		root, b := outputOf(t, "go", "env", "GOROOT"), base{version: version, trees: map[string]string{}, files: map[string]string{}}
		for _, dir := range []string{"bin", "pkg", "src", "lib"} {
			b.trees["/usr/local/go/"+dir] = filepath.Join(root, dir)
		}
		for _, file := range []string{"go.env", "VERSION"} {
			b.files["/usr/local/go/"+file] = filepath.Join(root, file)
		}
		b.env = []string{"PATH=/usr/local/go/bin:/bin", "GOPATH=/go", "GOPROXY=" + proxy}
		return b
	case "node":
		version, node := outputOf(t, "node", "--version"), program(t, "node")
		// The major version is enough for a test: what builds the page is in npm's lock.
		wanted, _, _ := strings.Cut(tag, "-")
		if major, _, _ := strings.Cut(version, "."); !strings.HasPrefix("v"+wanted, major+".") {
			version = "v" + wanted
			node = outputOf(t, "npm", "exec", "--yes", "--package=node@"+wanted, "--", "node", "--print", "process.execPath")
		}
		npm := filepath.Dir(filepath.Dir(program(t, "npm"))) // …/npm/bin/npm-cli.js
		b := base{version: version + " npm " + outputOf(t, "npm", "--version"), trees: map[string]string{"/usr/lib/node_modules/npm": npm}, files: map[string]string{"/bin/node": node}}
		for _, library := range regexp.MustCompile(`(?m)(/\S+) \(0x`).FindAllStringSubmatch(outputOf(t, "ldd", node), -1) {
			b.files[library[1]] = library[1]
			if strings.HasPrefix(filepath.Base(library[1]), "libc.so.") { // what native modules load besides
				librt := filepath.Join(filepath.Dir(library[1]), "librt.so.1")
				b.files[librt] = librt
			}
		}
		b.links = map[string]string{"/bin/npm": "/usr/lib/node_modules/npm/bin/npm-cli.js"}
		b.env = []string{"PATH=/bin", "NODE_EXTRA_CA_CERTS=" + roots}
		return b
	}
	t.Fatalf("%s cannot be pulled, and there is no recipe to make it", name)
	return base{}
}

// outputOf returns the output of a program, without space at its ends.
func outputOf(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := output(exec.Command(name, args...))
	require.NoError(t, err)
	return strings.TrimSpace(out)
}

func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	require.NoError(t, err)
	return path
}

// fingerprint returns a text that changes when the image must be made again.
func (b base) fingerprint(t *testing.T) string {
	t.Helper()
	certificates, err := os.ReadFile(roots)
	require.NoError(t, err)
	recipe := 4 // one more for every change of what an image is made of
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, recipe, b.version, b.env, certificates)))[:16]
}

// applets of busybox, the shell and the tools that the Dockerfiles and npm's scripts use.
var applets = []string{"sh", "env", "mkdir", "cp", "chmod", "ln", "find", "touch"}

func (b base) load(ctx context.Context, t *testing.T, d docker, name, fingerprint string) {
	t.Helper()
	busybox := program(t, "busybox")
	if outputOf(t, "busybox", "sh", "-c", "echo static") != "static" {
		t.Fatal("busybox does not run")
	}
	args := []string{"import", "--platform", "linux/" + runtime.GOARCH, "--change", "LABEL " + madeLabel + "=" + fingerprint, "--change", "ENV HOME=/root"}
	for _, e := range b.env {
		args = append(args, "--change", "ENV "+e)
	}
	c := exec.CommandContext(ctx, d.command, append(args, "-", name)...)
	in, err := c.StdinPipe()
	require.NoError(t, err)
	packed := make(chan error, 1)
	go func() {
		out := tar.NewWriter(in)
		b.files["/bin/busybox"], b.files[roots] = busybox, roots
		packed <- errors.Join(b.pack(out), out.Close(), in.Close())
	}()
	_, err = output(c)
	if err := errors.Join(<-packed, err); err != nil {
		t.Fatalf("make %s: %v", name, err)
	}
}

func (b base) pack(out *tar.Writer) error {
	for _, dir := range []string{"tmp/", "root/"} {
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o1777}); err != nil {
			return err
		}
	}
	links := map[string]string{"/usr/bin/env": "/bin/busybox"} // npm's scripts begin with it
	for _, applet := range applets {
		links["/bin/"+applet] = "/bin/busybox"
	}
	maps.Copy(links, b.links)
	// in order: the same files are the same layer, and what was built on it is built no more
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

// packFile packs what stands at path, or at the end of the links there.
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
	// the time is fixed, as an image's layer is known by its content
	header := &tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(at, "/"), Mode: int64(info.Mode().Perm()), Size: info.Size()}
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(out, file)
	return err
}
