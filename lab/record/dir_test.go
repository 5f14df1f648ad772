package record

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/wants"
)

// TestReadDir: compressed records are read as others, those that are not
// compressed first; what is cut off or damaged is an error.
func TestReadDir(t *testing.T) {
	written := header()
	written.Runs = []*Run{sample()}
	plain := text(t, written)
	encoder, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	compressed := string(encoder.EncodeAll([]byte(plain), nil))
	for name, test := range map[string]struct {
		files map[string]string
		want  string // the error; empty: one run
	}{
		"plain":      {map[string]string{FileName: plain}, ""},
		"compressed": {map[string]string{CompressedName: compressed}, ""},
		"both":       {map[string]string{FileName: plain, CompressedName: "x"}, ""},
		"neither":    {nil, "records: open DIR/records.jsonl: no such file or directory: must be the directory of a comparison"},
		"damaged":    {map[string]string{CompressedName: plain}, "read DIR/records.jsonl.zst: invalid input: magic number mismatch"},
		"cut off":    {map[string]string{CompressedName: compressed[:len(compressed)-9]}, "read DIR/records.jsonl.zst: unexpected EOF"},
		"no runs":    {map[string]string{CompressedName: string(encoder.EncodeAll([]byte(text(t, header())), nil))}, "DIR/records.jsonl.zst: no runs"},
	} {
		dir := t.TempDir()
		for file, text := range test.files {
			require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644))
		}
		c, err := ReadDir(dir)
		wants.Error(t, name, err, strings.ReplaceAll(test.want, "DIR", dir))
		if err == nil {
			assert.Equal(t, 1, len(c.Runs), name+", runs")
		}
	}
}

// TestReadWholeDir: while records are written, there are those of the whole runs.
func TestReadWholeDir(t *testing.T) {
	written := header()
	first := text(t, written)
	written.Runs = []*Run{sample()}
	whole := text(t, written)
	for name, test := range map[string]struct {
		text string
		runs int // -1: not even a first line
	}{
		"no file": {"", -1}, "half a first line": {first[:20], -1}, "no run": {first, 0}, "half a run": {whole[:len(whole)-30], 0}, "a run": {whole, 1},
		"a line too many": {whole + whole[strings.LastIndex(whole, "\n{")+1:], 0},
	} {
		dir := t.TempDir()
		if name != "no file" {
			require.NoError(t, os.WriteFile(filepath.Join(dir, FileName), []byte(test.text), 0o644))
		}
		c, err := ReadWholeDir(dir)
		got := -1
		if c != nil {
			got = len(c.Runs)
		}
		require.NoError(t, err)
		assert.Equal(t, test.runs, got, name+", runs")
	}
}
