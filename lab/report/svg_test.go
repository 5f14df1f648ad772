package report

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fleetman.example/lab/assert"
)

// TestSVG: pictures are well-formed, ask no host for anything, and hostile names
// stay text.
func TestSVG(t *testing.T) {
	hostile := outcomesOf(`<script>alert("a")</script>`, 1, 30, 0)
	hostile.Fault = `../x"&<fault>`
	run := comparison()[0]
	r := reportOf(t, of(hostile, run, healthyRun("none", 1, .002, .01, .1, 0)))
	dir := t.TempDir()
	assert.NoError(t, SVG(filepath.Join(dir, "new"), r))
	files, err := os.ReadDir(filepath.Join(dir, "new"))
	assert.NoError(t, err)
	var names []string
	for _, file := range files {
		names = append(names, file.Name())
		text, err := os.ReadFile(filepath.Join(dir, "new", file.Name()))
		assert.NoError(t, err)
		assert.NoError(t, xml.Unmarshal(text, new(struct{})))
		own := strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", "")
		for _, part := range []string{"<script", "<fault", "http"} { // an element made of a name, an address of a host
			assert.Equal(t, file.Name()+" has "+part, strings.Contains(own, part), false)
		}
	}
	assert.Equal(t, "files", strings.Join(names, " "), "fault----x---fault-.svg fault-bad-replica.svg matrix.svg")
}
