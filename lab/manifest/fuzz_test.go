package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzDecode: whatever is in a file, it is objects with names or one line.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("../../k8s/base/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no manifests to start from: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Add([]byte(service + "---\n" + deployment))
	f.Fuzz(func(t *testing.T, data []byte) {
		objects, err := Decode("fuzz.yaml", data)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") || !strings.HasPrefix(err.Error(), "fuzz.yaml") {
				t.Errorf("not one line that names the file: %q", err)
			}
			return
		}
		for _, object := range objects {
			if object.Name == "" || object.Kind == "" || object.APIVersion == "" || len(object.JSON) == 0 {
				t.Errorf("an object without its head: %+v", object)
			}
			again, err := Decode("fuzz.yaml", object.JSON)
			if err != nil || len(again) != 1 || again[0].Ref() != object.Ref() {
				t.Errorf("%s, read again: %v, %v", object.Ref(), again, err)
			}
		}
		// whatever decodes can be checked
		_ = (&Objects{All: objects}).check()
	})
}
