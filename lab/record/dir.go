package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// Names of the records in the directory of a comparison. Compressed records are
// those that `zstd` makes: they can be read, and not be added to.
const (
	FileName       = "records.jsonl"
	CompressedName = FileName + ".zst"
)

// ReadDir reads the records in the directory of a comparison, compressed or not.
func ReadDir(dir string) (*Comparison, error) {
	file, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("records: %w: must be the directory of a comparison", err)
	}
	defer file.Close()
	if filepath.Base(file.Name()) == FileName {
		return Read(file, file.Name())
	}
	text, err := zstd.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file.Name(), err)
	}
	defer text.Close()
	return Read(text, file.Name())
}

// ReadWholeDir reads the whole runs in the directory of a comparison that may
// still be running. Without any, it returns a comparison without runs; before the
// first line is whole, nil.
func ReadWholeDir(dir string) (*Comparison, error) {
	file, err := open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	defer file.Close()
	if filepath.Base(file.Name()) == CompressedName {
		return ReadDir(dir)
	}
	c, _, err := ReadWhole(file, file.Name())
	return c, err
}

// open opens the records, or, when there are none, the compressed ones. An error
// names the records.
func open(dir string) (*os.File, error) {
	file, err := os.Open(filepath.Join(dir, FileName))
	if errors.Is(err, fs.ErrNotExist) {
		if compressed, err := os.Open(filepath.Join(dir, CompressedName)); err == nil {
			return compressed, nil
		}
	}
	return file, err
}
