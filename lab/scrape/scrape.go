// Package scrape reads a pod's /metrics, in Prometheus's text format.
package scrape

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// maxMetrics bounds the size of a pod's metrics, in bytes.
const maxMetrics = 8 << 20

// Get returns the samples with the given names from http://ADMIN/metrics. The samples of a histogram are
// named NAME_bucket, NAME_sum and NAME_count, as in the text format. Without an error the result is not nil.
func Get(ctx context.Context, client *http.Client, admin string, names ...string) (model.Vector, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", admin, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", admin, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics of %s: status %d", admin, response.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxMetrics))
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", admin, err)
	}
	samples, err := parse(text, names)
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", admin, err)
	}
	return samples, nil
}

func parse(text []byte, names []string) (model.Vector, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(only(text, names)))
	if err != nil {
		return nil, err
	}
	samples := model.Vector{} // not nil: what a pod has not counted yet is 0, not unknown
	for _, family := range families {
		found, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{}, family)
		if err != nil {
			return nil, err
		}
		for _, sample := range found {
			if slices.Contains(names, string(sample.Metric[model.MetricNameLabel])) {
				samples = append(samples, sample)
			}
		}
	}
	return samples, nil
}

// only returns the lines of the families that have one of the names. Most families of a pod are the Go
// runtime's; parsing them takes longer than all of the others.
func only(text []byte, names []string) []byte {
	families := make([][]byte, 0, len(names))
	for _, name := range names {
		for _, end := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, end)
		}
		if family := []byte(name); !slices.ContainsFunc(families, func(f []byte) bool { return bytes.Equal(f, family) }) {
			families = append(families, family)
		}
	}
	kept := make([]byte, 0, len(text)/2)
	for line := range bytes.Lines(text) {
		metric := bytes.TrimPrefix(line, []byte("# TYPE "))
		if slices.ContainsFunc(families, func(f []byte) bool { return bytes.HasPrefix(metric, f) }) {
			kept = append(kept, line...)
		}
	}
	return kept
}
