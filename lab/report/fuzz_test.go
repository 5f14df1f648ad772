package report

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fleetman.example/lab/record"
)

// FuzzReport: records that are read are reported or refused, whatever is in them.
func FuzzReport(f *testing.F) {
	for _, runs := range [][]*record.Run{comparison()[:1], {healthyRun("none", 1, .002, .01, .1, 0)}, {{Key: record.Key{Arm: "a", Fault: "b"}, Rate: 1, RepairAt: 1, End: 1, Rules: "reset", Curve: true, Point: map[string]string{"n": "1"}}}} {
		var file bytes.Buffer
		if err := record.WriteHeader(&file, of(runs...)); err != nil {
			f.Fatal(err)
		}
		for _, r := range runs {
			r.Requests, r.Samples = r.Requests[:min(len(r.Requests), 4)], r.Samples[:min(len(r.Samples), 4)]
			if err := record.Write(&file, r); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(file.String())
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := record.Read(strings.NewReader(text), "r.jsonl")
		if err != nil {
			return
		}
		if r, err := Compute(c); err == nil {
			Text(io.Discard, r)
			Markdown(io.Discard, r)
			MarkdownSummary(io.Discard, r)
			Summary(io.Discard, r, SummaryOptions{Color: true})
			PairText(io.Discard, Compare(r, r), true)
			MatrixSVG(r)
			for _, f := range r.faults() {
				RunsSVG(f)
			}
			require.NoError(t, errors.Join(JSON(io.Discard, r), CSV(io.Discard, r), HTML(io.Discard, r), PairHTML(io.Discard, Compare(r, r))))
		}
	})
}
