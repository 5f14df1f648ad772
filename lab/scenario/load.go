package scenario

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/net/http/httpguts"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/manifest"
)

// maxBytes bounds the size of a file. 1 MiB has room for hundreds of promises.
const maxBytes = 1 << 20

// Load reads and validates an expect.yaml. The error is one line with the file, the promise and the field.
func Load(path string) (*File, error) {
	data, err := manifest.ReadFile("a scenario's promises", path, maxBytes)
	if err != nil {
		return nil, err
	}
	file, err := Decode(path, data)
	if err != nil {
		return nil, err
	}
	if err := file.readTokens(); err != nil {
		return nil, err
	}
	return file, nil
}

// readTokens sets the header Authorization of the requests with a token.
func (f *File) readTokens() error {
	for i, p := range f.Promises {
		for j := range p.Checks {
			r := &p.Checks[j].Requests
			if r.Bearer == "" {
				continue
			}
			token, err := os.ReadFile(filepath.Join(filepath.Dir(f.Source), r.Bearer))
			value := "Bearer " + strings.TrimSpace(string(token))
			if err == nil && !httpguts.ValidHeaderFieldValue(value) {
				err = fmt.Errorf("%s: must be a token in one line", r.Bearer)
			}
			if err != nil {
				return fmt.Errorf("%s: promises[%d].checks[%d].requests.bearer: %w", f.Source, i, j, err)
			}
			if r.Headers == nil {
				r.Headers = map[string]string{}
			}
			r.Headers["Authorization"] = value
		}
	}
	return nil
}

// Decode parses and validates the text of an expect.yaml. source is its path, for errors.
func Decode(source string, data []byte) (*File, error) {
	if len(data) > maxBytes {
		return nil, fmt.Errorf("%s: %d bytes: must be at most %d", source, len(data), maxBytes)
	}
	if err := manifest.CheckSingle(source, data); err != nil {
		return nil, err
	}
	asJSON, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, fmt.Errorf("%s: not YAML: %s", source, manifest.OneLine(err))
	}
	var file File
	strict, err := kjson.UnmarshalStrict(asJSON, &file)
	if err = errors.Join(append([]error{err}, strict...)...); err != nil {
		return nil, fmt.Errorf("%s: %s", source, manifest.OneLine(err))
	}
	file.Source = source
	if err := file.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	return &file, nil
}
