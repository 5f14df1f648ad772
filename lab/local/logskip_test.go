package local

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLogOptions reads a log with lines of every form, some without a time.
func TestLogOptions(t *testing.T) {
	const log = `first
{"time":"2026-01-02T15:04:01Z","level":"INFO","msg":"old"}
goroutine 1 [running]
{"time":"2026-01-02T16:04:05.5+01:00","level":"INFO","msg":"new"}
{"check":null,"path":"/\"time\":\"","time":"2026-01-02T15:03:00Z","msg":"slow, and so late in the log"}
last`
	lines := strings.SplitAfter(log, "\n")
	at := func(second int) time.Time { return time.Date(2026, 1, 2, 15, 4, second, 0, time.UTC) }
	file := filepath.Join(t.TempDir(), "pod.log")
	require.NoError(t, os.WriteFile(file, []byte(log), 0o644))
	require.NoError(t, os.Chtimes(file, time.Time{}, at(7)))
	for _, test := range []struct {
		name string
		o    LogOptions
		from int // the first line
	}{
		{"all", LogOptions{}, 0},
		{"the last two", LogOptions{TailLines: new(2)}, 4},
		{"none", LogOptions{TailLines: new(0)}, 6},
		{"more than there are", LogOptions{TailLines: new(100)}, 0},
		{"since before the first", LogOptions{Since: at(0)}, 0},
		{"since the old one", LogOptions{Since: at(1)}, 0},
		{"since the new one", LogOptions{Since: at(5)}, 2}, // with the trace before it
		{"since after the last time", LogOptions{Since: at(6)}, 5},
		{"since after the last change", LogOptions{Since: at(8)}, 6},
		{"the last one since", LogOptions{Since: at(5), TailLines: new(1)}, 5},
		{"since, then more than there are", LogOptions{Since: at(5), TailLines: new(100)}, 2},
	} {
		opened, err := os.Open(file)
		require.NoError(t, err)
		defer opened.Close()
		require.NoError(t, test.o.skip(opened))
		got, err := io.ReadAll(opened)
		require.NoError(t, err, test.name)
		assert.Equal(t, strings.Join(lines[test.from:], ""), string(got), test.name)
	}
}

func TestLineTime(t *testing.T) {
	want := time.Date(2026, 1, 2, 15, 4, 5, 0, time.Local)
	for _, test := range []struct {
		line string
		ok   bool
	}{
		{`{"check":null,"msg":"access","path":"/\"time\":\"x","time":"` + want.Format("2006-01-02T15:04:05.000-07:00") + `","tries":1}`, true},
		{"2026/01/02 15:04:05 ERROR x", true},
		{`{"level":"info","time":"` + want.UTC().Format(time.RFC3339Nano) + `"}`, true},
		{"2026/13/02 15:04:05 x", false},
		{"at 2026/01/02 15:04:05 x", false},
		{`{"time":"now"}`, false},
		{`"time":"2026-01-02T15:04:05Z"`, false},
		{"", false},
	} {
		if at, ok := lineTime([]byte(test.line)); ok != test.ok || ok && !at.Equal(want) {
			t.Errorf("%q: %v, %v", test.line, at, ok)
		}
	}
}
