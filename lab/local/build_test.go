package local

import (
	"os"
	"path/filepath"
	"testing"
)

// TestBuildFromElsewhere: with a relative root the programs come to where they
// are then started from.
func TestBuildFromElsewhere(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.work":                "go 1.26\n\nuse ./services/ours\n",
		"services/ours/go.mod":   "module made.example/ours\n\ngo 1.26\n",
		"services/ours/main.go":  "package main\n\nfunc main() {}\n",
		"somewhere/below/it.txt": "",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Join(root, "somewhere", "below"))
	t.Setenv("GOFLAGS", "")
	bin, err := Build(t.Context(), "../..", []string{"ours"}, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(bin, "ours")); err != nil || bin != filepath.Join(root, ".cache", "bin") {
		t.Errorf("built into %s: %v", bin, err)
	}
}
