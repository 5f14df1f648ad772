package report

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSVG: pictures are well-formed, ask no host for anything, and hostile names
// stay text.
func TestSVG(t *testing.T) {
	hostile := outcomesOf(`<script>alert("a")</script>`, 1, 30, 0)
	hostile.Fault = `../x"&<fault>`
	run := comparison()[0]
	r := reportOf(t, of(hostile, run, healthyRun("none", 1, .002, .01, .1, 0)))
	dir := t.TempDir()
	require.NoError(t, SVG(filepath.Join(dir, "new"), r))
	files, err := os.ReadDir(filepath.Join(dir, "new"))
	require.NoError(t, err)
	var names []string
	for _, file := range files {
		names = append(names, file.Name())
		text, err := os.ReadFile(filepath.Join(dir, "new", file.Name()))
		require.NoError(t, err)
		decoder := xml.NewDecoder(bytes.NewReader(text))
		for err == nil { // to the end of the file, not only of its first element
			_, err = decoder.Token()
		}
		assert.ErrorIs(t, err, io.EOF, file.Name())
		own := strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", "")
		for _, part := range []string{"<script", "<fault", "http"} { // an element made of a name, an address of a host
			assert.Equal(t, false, strings.Contains(own, part), file.Name()+" has "+part)
		}
	}
	assert.Equal(t, "fault----x---fault-.svg fault-bad-replica.svg matrix.svg", strings.Join(names, " "), "files")
}
