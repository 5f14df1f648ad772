package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/record"
)

// TestServe: the page has the runs that are whole, a half written one is not an
// error, and a page that has not changed is not sent again. Other names that lead
// to this machine are refused.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	pages := &livePages{dirs: []string{dir}}
	get := func(path, host, known string) (int, string, http.Header) {
		request := httptest.NewRequest(http.MethodGet, "http://"+host+path, nil)
		request.Header.Set("If-None-Match", known)
		w := httptest.NewRecorder()
		pages.handler().ServeHTTP(w, request)
		body, _ := io.ReadAll(w.Result().Body)
		return w.Code, string(body), w.Header()
	}
	write := func(text string) {
		t.Helper()
		require.NoError(t, os.WriteFile(filepath.Join(dir, record.FileName), []byte(text), 0o644))
	}
	text := string(oneRun(t))
	known := ""
	for _, step := range []struct {
		name, text string
		changed    bool
		shows      string
	}{
		{"no records", "", true, "No run is measured yet"},
		{"half of the run", text[:len(text)-20], true, "No run is measured yet"},
		{"a bit more of it", text[:len(text)-10], false, ""},
		{"all of it", text, true, "1 run measured: all of them."},
		{"the same", text, false, ""},
	} {
		if step.text != "" {
			write(step.text)
		}
		code, body, header := get("/", "127.0.0.1:30091", known)
		assert.Equal(t, map[bool]int{true: http.StatusOK, false: http.StatusNotModified}[step.changed], code, step.name)
		assert.Contains(t, body, step.shows, step.name)
		known = header.Get("ETag")
	}
	write("{}\n")
	code, body, _ := get("/", "localhost:30091", "")
	assert.Equal(t, http.StatusInternalServerError, code, "broken records")
	assert.Contains(t, body, "records.jsonl:1: ")
	write(text)
	for host, want := range map[string]int{"localhost": 200, "127.0.0.1:1": 200, "[::1]:30091": 200, "example.com": 403, "127.0.0.1.example.com:30091": 403, "10.0.0.1": 403} {
		code, body, _ := get("/", host, "")
		assert.Equal(t, want, code, host)
		if want == 403 {
			assert.Contains(t, body, "must be localhost or a loopback address", host)
		}
	}
	code, _, _ = get("/x", "localhost", "")
	assert.Equal(t, http.StatusNotFound, code)
}

// TestServeEnds: the command prints its address, serves on this machine until
// Ctrl-C, and that is no failure.
func TestServeEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	printed, w := io.Pipe()
	ended := make(chan error)
	go func() { ended <- reportFlags{}.serve(ctx, []string{t.TempDir()}, nil, w) }()
	line, err := bufio.NewReader(printed).ReadString('\n')
	require.NoError(t, err)
	require.Regexp(t, "^http://127.0.0.1:", line)
	address, _, _ := strings.Cut(line, " ")
	answer, err := http.Get(address)
	require.NoError(t, err)
	answer.Body.Close()
	assert.Equal(t, http.StatusOK, answer.StatusCode)
	cancel()
	require.NoError(t, <-ended, "after Ctrl-C")
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"report", "no-such-dir", "--serve"}, exitUsage, "fleetman: no-such-dir: must be the directory of a comparison\n"},
		{[]string{"report", "x", "--port", "1"}, exitUsage, "fleetman: fleetman report: --port: must be with --serve\n"},
		{[]string{"report", "x", "--serve", "--html", "y"}, exitUsage, "fleetman: fleetman report --serve: --all, --html, --hgrm, --svg, --junit: must be of a comparison that is done\n"},
	} {
		expect(t, test.code, "", test.want, test.args...)
	}
}
