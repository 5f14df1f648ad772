// Package scrape reads a pod's /metrics, in Prometheus's text format.
package scrape

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// maxMetrics bounds the size of a pod's metrics, in bytes.
const maxMetrics = 8 << 20

// Get returns the samples with the given names from http://ADMIN/metrics. The samples of a histogram are
// named NAME_bucket, NAME_sum and NAME_count, as in the text format.
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
	samples, err := parse(io.LimitReader(response.Body, maxMetrics), names)
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", admin, err)
	}
	return samples, nil
}

func parse(text io.Reader, names []string) (model.Vector, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return nil, err
	}
	var samples model.Vector
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
