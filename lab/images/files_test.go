package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// checkFiles checks that a layer has the service's files, no other, all of one time.
func checkFiles(t *testing.T, layer []byte, service string) {
	t.Helper()
	var found []string
	for in := tar.NewReader(bytes.NewReader(layer)); ; {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		line := fmt.Sprintf("%s %v %d:%d", h.Name, h.FileInfo().Mode(), h.Uid, h.Gid)
		if h.Linkname != "" {
			line += " -> " + h.Linkname
		}
		found = append(found, line)
		assert.Zero(t, h.ModTime.Unix(), h.Name)
	}
	want := []string{
		"etc/ drwxr-xr-x 0:0",
		"etc/ssl/ drwxr-xr-x 0:0",
		"etc/ssl/certs/ drwxr-xr-x 0:0",
		"etc/ssl/certs/ca-certificates.crt -rw-r--r-- 0:0",
		"licenses/ drwxr-xr-x 0:0",
		"licenses/LICENSE -rw-r--r-- 0:0",
		"licenses/NOTICE -rw-r--r-- 0:0",
		"usr/ drwxr-xr-x 0:0",
		"usr/bin/ drwxr-xr-x 0:0",
		"usr/bin/" + service + " -rwxr-xr-x 0:0",
		"usr/bin/java Lrwxrwxrwx 0:0 -> " + service,
	}
	assert.ElementsMatch(t, want, found)
}
