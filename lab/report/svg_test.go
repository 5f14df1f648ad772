package report

import (
	"encoding/xml"
	"errors"
	"io"
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
		decoder := xml.NewDecoder(strings.NewReader(string(text)))
		for err == nil {
			var token xml.Token
			token, err = decoder.Token()
			if start, ok := token.(xml.StartElement); ok && (start.Name.Local == "script" || start.Name.Local == "fault") {
				t.Errorf("%s: a name has become an element", file.Name())
			}
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", file.Name(), err)
		}
		if strings.Contains(strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", ""), "http") {
			t.Errorf("%s: asks a host", file.Name())
		}
	}
	assert.Equal(t, "files", strings.Join(names, " "), "fault----x---fault-.svg fault-bad-replica.svg matrix.svg")
}
