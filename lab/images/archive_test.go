package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// pack is an archive of files: name, body, name, body and so on.
func pack(t *testing.T, files ...string) io.Reader {
	t.Helper()
	var b bytes.Buffer
	out := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		if err := out.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(out, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestSettleArchive(t *testing.T) {
	at := time.Date(2024, 2, 29, 13, 0, 0, 0, time.FixedZone("", 3600))
	const manifest = `[{"Config":"blobs/c","RepoTags":["a:1"],"Layers":["l1","l2"]}]`
	const settled = `{"architecture":"arm64","config":{"User":"1:1"},"created":"2024-02-29T12:00:00Z","history":[{"created":"2024-02-29T12:00:00Z","created_by":"COPY"},{"created":"2024-02-29T12:00:00Z","created_by":"USER","empty_layer":true}],"rootfs":{"type":"layers"}}`
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(settled)))
	for _, config := range []string{ // two builds at different times
		`{"architecture":"arm64","config":{"User":"1:1"},"created":"2026-01-02T03:04:05.6Z","history":[{"created":"2026-01-02T03:04:05.6Z","created_by":"COPY"},{"created_by":"USER","empty_layer":true}],"rootfs":{"type":"layers"}}`,
		`{"created":"2026-05-06T07:08:09Z","architecture":"arm64","config":{"User":"1:1"},"history":[{"created_by":"COPY"},{"created_by":"USER","empty_layer":true}],"rootfs":{"type":"layers"}}`,
	} {
		var to bytes.Buffer
		id, err := settleArchive(pack(t, "blobs/c", config, "l2", "second", "l1", "first", "manifest.json", manifest), &to, at)
		if err != nil || id != "sha256:"+sum {
			t.Fatalf("got %s, %v; want sha256:%s", id, err, sum)
		}
		files, err := readArchive(&to)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"manifest.json": `[{"Config":"` + sum + `.json","RepoTags":null,"Layers":["0.tar","1.tar"]}]`,
			sum + ".json":   settled, "0.tar": "first", "1.tar": "second",
		} {
			if got := string(files[name]); got != want {
				t.Errorf("%s: got %s\nwant %s", name, got, want)
			}
		}
	}
}

func TestSettleArchiveThatIsNone(t *testing.T) {
	for want, archive := range map[string]io.Reader{
		"the saved image: unexpected EOF":            strings.NewReader("text"),
		"manifest.json: expected one image, found 0": pack(t),
		"manifest.json: expected one image, found 2": pack(t, "manifest.json", `[{},{}]`),
		"c: unexpected end of JSON input":            pack(t, "manifest.json", `[{"Config":"c"}]`),
		"c: history: json: cannot unmarshal":         pack(t, "manifest.json", `[{"Config":"c"}]`, "c", `{"history":3}`),
		"no l in the archive":                        pack(t, "manifest.json", `[{"Config":"c","Layers":["l"]}]`, "c", `{}`),
	} {
		if _, err := settleArchive(archive, io.Discard, time.Unix(0, 0)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s…", err, want)
		}
	}
}
