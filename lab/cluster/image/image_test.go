package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
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
	if !bytes.Equal(first.Bytes(), again.Bytes()) {
		t.Error("two archives of the same programs differ")
	}
	files := untar(t, first.Bytes())
	var manifests []manifest
	if err := json.Unmarshal(files["manifest.json"], &manifests); err != nil || len(manifests) != 2 {
		t.Fatalf("%v, %v", manifests, err)
	}
	for n, m := range manifests {
		config, layer := files[m.Config], files[m.Layers[0]]
		if m.RepoTags[0] != images[n].Name || m.Config != hash(config)+".json" || !bytes.Contains(config, []byte(`"sha256:`+hash(layer)+`"`)) {
			t.Errorf("%+v: %s", m, config)
		}
		for _, want := range []string{`"architecture":"arm64"`, `"User":"65532:65532"`, `"Entrypoint":["/usr/bin/staff-service"`} {
			if !strings.Contains(string(config), want) {
				t.Errorf("%s: want %s", config, want)
			}
		}
		inside := untar(t, layer)
		if string(inside["usr/bin/staff-service"]) != "program" || inside["usr/bin/java"] == nil {
			t.Errorf("files of %s: %v", m.RepoTags[0], inside)
		}
	}
	if err := Write(io.Discard, []Image{{Name: "a:1", Program: program + "x"}}); err == nil || !strings.HasPrefix(err.Error(), "image a:1: open ") {
		t.Errorf("no program: %v", err)
	}
}

func untar(t *testing.T, data []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for in := tar.NewReader(bytes.NewReader(data)); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		content, err := io.ReadAll(in)
		require.NoError(t, err)
		files[header.Name] = append(slices.Clip(content), []byte(header.Linkname)...)
	}
}
