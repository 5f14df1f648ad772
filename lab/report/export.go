package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"fleetman.example/lab/stats"
)

// JSON writes every figure, run, timeline and curve of a Report or a Pair.
func JSON[T Report | Pair](w io.Writer, r T) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// CSV writes a line for each figure: of an arm, with its interval and its
// difference to the baseline.
func CSV(w io.Writer, r Report) error {
	out := csv.NewWriter(w)
	number := func(v *float64) string {
		if v == nil {
			return ""
		}
		return strconv.FormatFloat(*v, 'f', -1, 64)
	}
	write := func(fields ...string) { _ = out.Write(fields) } // Error has it
	write("fault", "arm", "figure", "unit", "value", "low", "high", "n", "note", "baseline", "difference", "differenceLow", "differenceHigh", "shown")
	for f, a := range armsOf(r.faults()) {
		for _, c := range r.Columns {
			v, d := a.Figures[c.Name], a.Over[c.Name]
			if v.Value == nil && v.Note == "" {
				continue
			}
			write(f.Name, a.Name, c.Name, c.Unit.Base, number(v.Value), number(v.Low), number(v.High), strconv.Itoa(v.N), strings.Trim(v.Note+"; "+f.warned(a.Name), "; "),
				f.Baseline, number(d.Value), number(d.Low), number(d.High), strconv.FormatBool(d.Shown))
		}
	}
	out.Flush()
	return out.Error()
}

// Bounds of a histogram's latencies, in microseconds, and its digits.
const (
	lowestMicros  = 1
	highestMicros = int64(time.Hour / time.Microsecond)
	digits        = 3
)

// HGRM writes the latencies of each arm with each fault into DIR, as
// FAULT.ARM.hgrm, in milliseconds: the percentile distribution of HdrHistogram,
// which its plotter reads, as far as the sample supports it.
func HGRM(dir string, r Report) error {
	histograms := map[string]string{}
	for f, a := range armsOf(r.faults()) {
		histograms[anchor(f.Name, a.Name)+".hgrm"] = a.hgrm()
	}
	return writeFiles(dir, "histograms", histograms)
}

// writeFiles writes files, by name, into a directory.
func writeFiles(dir, what string, files map[string]string) error {
	err := os.MkdirAll(dir, 0o755)
	for name, text := range files {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)
		}
	}
	if err != nil {
		return fmt.Errorf("write the %s: %w", what, err)
	}
	return nil
}

// hgrm is the distribution of the latencies of all runs.
func (a Arm) hgrm() string {
	h := hdrhistogram.New(lowestMicros, highestMicros, digits)
	for _, latency := range a.Figures["p50"].sample.Sorted {
		_ = h.RecordValue(min(max(int64(latency*1e6+.5), lowestMicros), highestMicros)) // which is within the bounds
	}
	var text, supported strings.Builder
	_, _ = h.PercentilesPrint(&text, 5, 1000) // a Builder has no errors
	for line := range strings.Lines(text.String()) {
		if a.supports(line) {
			supported.WriteString(line)
		}
	}
	return supported.String()
}

// supports reports whether the sample supports the percentile of a line: VALUE
// PERCENTILE COUNT. The lowest and the highest value, 0 and 1, are facts.
func (a Arm) supports(line string) bool {
	fields := strings.Fields(line)
	if len(fields) < 3 {
		return true
	}
	q, err := strconv.ParseFloat(fields[1], 64)
	if err != nil || q <= 0 || q >= 1 {
		return true
	}
	_, _, ok := a.Figures["p50"].sample.Quantile(q, stats.Confidence)
	return ok
}
