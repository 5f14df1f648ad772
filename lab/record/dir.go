package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// FileName and CompressedName are the names of the file with the records in the
// directory of a comparison. The compressed file is made with `zstd`; it can be
// read, but no runs can be added to it.
const (
	FileName       = "records.jsonl"
	CompressedName = FileName + ".zst"
)

// ReadDir reads the records in the directory of a comparison. If both files exist,
// it reads the one that is not compressed.
func ReadDir(dir string) (*Comparison, error) {
	file, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("records: %w: must be the directory of a comparison", err)
	}
	defer file.Close()
	if filepath.Base(file.Name()) == FileName {
		return Read(file, file.Name())
	}
	decompressed, err := zstd.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file.Name(), err)
	}
	defer decompressed.Close()
	return Read(decompressed, file.Name())
}

// ReadWholeDir reads the records in the directory of a comparison that may still be
// running. It returns only whole runs, those of which all lines have been written;
// there may be none. It returns nil if there are no records, or if their first line
// has not been written to its end.
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

// open opens FileName or, if it does not exist, CompressedName. If neither can be
// opened, the error names FileName.
func open(dir string) (*os.File, error) {
	file, err := os.Open(filepath.Join(dir, FileName))
	if errors.Is(err, fs.ErrNotExist) {
		if compressed, err := os.Open(filepath.Join(dir, CompressedName)); err == nil {
			return compressed, nil
		}
	}
	return file, err
}
