// Package image writes container images of static programs as an archive that docker load, kind, minikube and
// containerd import. It needs no engine.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Image is an image of one program, with the content of the services' Dockerfiles.
type Image struct {
	Name    string // repository:tag
	Program string // path of the program on this machine
	Arch    string // amd64 or arm64
	Env     []string
	Args    []string // of the entry point
}

// user is the user and the group of the program, as in the Dockerfiles.
const user = "65532:65532"

// roots are the certificates of the certification authorities. An image without them can call no HTTPS.
const roots = "/etc/ssl/certs/ca-certificates.crt"

// manifest is an entry of the archive's manifest.json.
type manifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// Write writes the images as one archive. The same programs give the same bytes.
func Write(w io.Writer, images []Image) error {
	out := tar.NewWriter(w)
	var all []manifest
	for _, i := range images {
		m, err := i.write(out)
		if err != nil {
			return fmt.Errorf("image %s: %w", i.Name, err)
		}
		all = append(all, m)
	}
	text, _ := json.Marshal(all) // of strings
	if err := errors.Join(add(out, "manifest.json", text), out.Close()); err != nil {
		return fmt.Errorf("write images: %w", err)
	}
	return nil
}

// write writes the image's layer and its configuration.
func (i Image) write(out *tar.Writer) (manifest, error) {
	layer, err := i.layer()
	if err != nil {
		return manifest{}, err
	}
	digest := hash(layer)
	name := filepath.Base(i.Program)
	config, _ := json.Marshal(map[string]any{
		"architecture": i.Arch, "os": "linux", "created": time.Unix(0, 0).UTC(),
		"config": map[string]any{
			"User": user, "Entrypoint": append([]string{"/usr/bin/" + name}, i.Args...),
			"Env": append([]string{"PATH=/usr/bin"}, i.Env...),
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest}},
	}) // of strings and times
	m := manifest{Config: hash(config) + ".json", RepoTags: []string{i.Name}, Layers: []string{digest + "/layer.tar"}}
	return m, errors.Join(add(out, m.Layers[0], layer), add(out, m.Config, config))
}

// layer returns the image's files: the program, java, by which the published manifests start it, and the
// certificates.
func (i Image) layer() ([]byte, error) {
	program, err := os.ReadFile(i.Program)
	if err != nil {
		return nil, err
	}
	var buffer bytes.Buffer
	out := tar.NewWriter(&buffer)
	name := filepath.Base(i.Program)
	err = errors.Join(
		out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}),
		out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "usr/bin/" + name, Mode: 0o755, Size: int64(len(program))}),
	)
	if err == nil {
		_, err = out.Write(program)
	}
	err = errors.Join(err, out.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "usr/bin/java", Linkname: name}))
	if certificates, missing := os.ReadFile(roots); missing == nil {
		err = errors.Join(err, add(out, roots[1:], certificates))
	}
	return buffer.Bytes(), errors.Join(err, out.Close())
}

func add(out *tar.Writer, name string, content []byte) error {
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := out.Write(content)
	return err
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
