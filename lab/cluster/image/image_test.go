package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/wants"
)

func TestWrite(t *testing.T) {
	program := filepath.Join(t.TempDir(), "staff-service")
	require.NoError(t, os.WriteFile(program, []byte("program"), 0o755))
	images := []Image{
		{Name: "fleetman/staff-service:6", Program: program, Arch: "arm64", Env: []string{"VARIANT=standard"}},
		{Name: "fleetman/lab:6", Program: program, Arch: "arm64", Args: []string{"relay"}},
	}
	var first, again bytes.Buffer
	require.NoError(t, errors.Join(Write(&first, images), Write(&again, images)))
	assert.True(t, bytes.Equal(first.Bytes(), again.Bytes()), "two archives of the same programs are equal")
	files := untar(t, first.Bytes())
	var manifests []manifest
	require.NoError(t, json.Unmarshal([]byte(files["manifest.json"]), &manifests))
	require.Len(t, manifests, 2)
	for n, m := range manifests {
		config, layer := files[m.Config], files[m.Layers[0]]
		assert.Equal(t, images[n].Name, m.RepoTags[0])
		assert.Equal(t, hash([]byte(config))+".json", m.Config)
		for _, want := range []string{`"sha256:` + hash([]byte(layer)) + `"`, `"architecture":"arm64"`, `"User":"65532:65532"`, `"Entrypoint":["/usr/bin/staff-service"`} {
			assert.Contains(t, config, want)
		}
		inside := untar(t, []byte(layer))
		assert.Equal(t, "program", inside["usr/bin/staff-service"])
		assert.Equal(t, "staff-service", inside["usr/bin/java"], "target of the link")
	}
	err := Write(io.Discard, []Image{{Name: "a:1", Program: program + "x"}})
	wants.Error(t, "no program", err, "image a:1: open …")
}

// untar returns the content of the files of an archive, and the targets of its links.
func untar(t *testing.T, data []byte) map[string]string {
	t.Helper()
	files := map[string]string{}
	for in := tar.NewReader(bytes.NewReader(data)); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		content, err := io.ReadAll(in)
		require.NoError(t, err)
		files[header.Name] = string(content) + header.Linkname
	}
}
