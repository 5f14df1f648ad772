package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzDecode: whatever is in a file, it is objects with names or one line.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("../../k8s/base/*.yaml")
	require.NoError(f, err)
	require.NotEmpty(f, files, "manifests to start from")
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
			head := []string{object.Name, object.Kind, object.APIVersion, string(object.JSON)}
			assert.NotContains(t, head, "", "an object without its head: %+v", object)
			again, err := Decode("fuzz.yaml", object.JSON)
			require.NoError(t, err, object.Ref())
			assert.Equal(t, object.Ref(), names(&Objects{All: again}), "read again")
		}
		// whatever decodes can be checked
		_ = (&Objects{All: objects}).check()
	})
}
