package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/wants"
)

func TestWords(t *testing.T) {
	for _, test := range []struct{ file, line, want string }{
		{"kit/x/x.go", "// ready tells whether the pod is ready", `"tells whether": must be "reports whether"; "// ready tells": must be "returns"`},
		{"kit/x/x.go", "// ready reports whether the pod is ready", ""},
		{"kit/x/x.go", `errors.New("rate: one at least is expected")`, `"is expected": must be "FIELD: GOT: must be …"`},
		{"kit/x/x.go", `fmt.Errorf("rate: %s: must be at least 1", got)`, ""},
		{"README.md", "the one door for the page", `"door": must be "target, gateway, entry"`},
		{"README.md", "outdoors", ""},
		{"lab/compare/x.go", "func (c cell) run()", `"cell": must be "run"`},
		{"docs/tables.md", "a cell of the table", ""},
		{"docs/x.md", "// ready tells nothing", ""},
		{"lab/mesh/x.go", "in step with istiod", `"in step": must be "in sync"`},
		{"lab/mesh/x.go", "the proxy says LIVE", `"proxy says": must be "returns, reports, requests, has"`},
		{"lab/mesh/x.go", "// every proxy is asked each second", `"is asked": must be "requested, reported; name the thing"`},
		{"lab/mesh/x.go", "it shuts out a host, then lets in another", `"shuts out": must be "ejected, returned"`},
		{"lab/mesh/x.go", `fmt.Errorf("reading %s: %w", path, err)`, `"\"reading %s: %w": must be "OPERATION KEY: as in read FILE: …"`},
		{"lab/mesh/x.go", `fmt.Errorf("read %s: %w", path, err)`, ""},
		{"docs/x.md", "start it anew", `"anew": must be "plain English"`},
	} {
		assert.Equal(t, test.want, strings.Join(words(test.file, test.line), "; "), "%s: %s", test.file, test.line)
	}
}

func TestCheck(t *testing.T) {
	tree := fstest.MapFS{}
	for name, text := range map[string]string{
		"README.md":                    "# A title, with *marks*\n[ok](docs/a.md) [ok](docs) [ok](https://example.com/x) [here](#a-title-with-marks)\n[bad](docs/b.md) [bad](docs/a.md#none)\n```\n[no](link)\n```\n",
		"docs/a.md":                    "# Why it is so\n[up](../README.md#a-title-with-marks) [out](../../x)\n",
		"lab/new.go":                   "// luck\n",
		"lab/new.txt":                  "luck\n",
		"lab/x/testdata/a.md":          "luck [bad](none)\n",
		"services/w/node_modules/a.md": "luck\n",
	} {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	found, err := check(tree)
	require.NoError(t, err)
	var got []string
	for _, f := range found {
		got = append(got, fmt.Sprint(f))
	}
	assert.Equal(t, []string{
		"README.md:3: link docs/b.md: must lead to a file of the repository",
		"README.md:3: link docs/a.md#none: must lead to a file of the repository",
		"docs/a.md:2: link ../../x: must lead to a file of the repository",
		`lab/new.go:1: "luck": must be "variance, by chance"`,
	}, got, "findings")
	_, err = check(fstest.MapFS{"a": &fstest.MapFile{Mode: fs.ModeDir}})
	require.NoError(t, err, "an empty tree")
}

func TestRun(t *testing.T) {
	var out, errs strings.Builder
	assert.Equal(t, 1, run([]string{"-root", "testdata/none"}, &out, &errs), "exit code, no such root")
	wants.Text(t, "no such root", errs.String(), "prose: …\n")
	dir := t.TempDir()
	assert.Equal(t, 0, run([]string{"-root", dir}, &out, &errs), "exit code, no findings")
	assert.Empty(t, out.String(), "no findings")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.md"), []byte("by luck\n"), 0o644))
	assert.Equal(t, 1, run([]string{"-root", dir}, &out, &errs), "exit code, a finding")
	assert.Equal(t, "a.md:1: \"luck\": must be \"variance, by chance\"\n", out.String())
	assert.Equal(t, 2, run([]string{"-nothing"}, &out, &errs), "exit code, an unknown flag")
}
