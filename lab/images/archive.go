package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// archived is one image in the manifest.json of an archive that docker save writes.
type archived struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// settleArchive copies an archive of one image so that the image, and each step of its history, is
// of one time. It returns the copy's id.
func settleArchive(from io.Reader, to io.Writer, at time.Time) (id string, err error) {
	files, err := readArchive(from)
	if err != nil {
		return "", err
	}
	var images []archived
	if err := json.Unmarshal(files["manifest.json"], &images); err != nil || len(images) != 1 {
		return "", fmt.Errorf("manifest.json: expected one image, found %d: %w", len(images), err)
	}
	config, err := settleConfig(files[images[0].Config], at)
	if err != nil {
		return "", fmt.Errorf("%s: %w", images[0].Config, err)
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(config))
	settled := archived{Config: sum + ".json"}
	out := tar.NewWriter(to)
	write := func(name string, body []byte) {
		err = errors.Join(err, out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body))}))
		if err == nil {
			_, err = out.Write(body)
		}
	}
	write(settled.Config, config)
	for i, layer := range images[0].Layers {
		body, ok := files[layer]
		if !ok {
			return "", fmt.Errorf("no %s in the archive", layer)
		}
		name := fmt.Sprintf("%d.tar", i)
		write(name, body)
		settled.Layers = append(settled.Layers, name)
	}
	manifest, merr := json.Marshal([]archived{settled})
	write("manifest.json", manifest)
	return "sha256:" + sum, errors.Join(err, merr, out.Close())
}

func readArchive(from io.Reader) (map[string][]byte, error) {
	files := map[string][]byte{}
	for in := tar.NewReader(from); ; {
		header, err := in.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("the saved image: %w", err)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		var body bytes.Buffer
		if _, err := io.Copy(&body, in); err != nil {
			return nil, fmt.Errorf("the saved image: %s: %w", header.Name, err)
		}
		files[strings.TrimPrefix(header.Name, "./")] = body.Bytes()
	}
}

// settleConfig sets the times in an image's configuration; all else stays as it is.
func settleConfig(text []byte, at time.Time) ([]byte, error) {
	var config map[string]json.RawMessage
	if err := json.Unmarshal(text, &config); err != nil {
		return nil, err
	}
	created, err := json.Marshal(at.UTC().Format(time.RFC3339))
	if err != nil {
		return nil, err
	}
	config["created"] = created
	var history []map[string]json.RawMessage
	if steps, ok := config["history"]; ok {
		if err := json.Unmarshal(steps, &history); err != nil {
			return nil, fmt.Errorf("history: %w", err)
		}
		for _, step := range history {
			step["created"] = created
		}
		if config["history"], err = json.Marshal(history); err != nil {
			return nil, err
		}
	}
	return json.Marshal(config)
}
