// Package scrape reads what pods and istiod serve: metrics, in Prometheus's text format, and JSON.
package scrape

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// maxBody bounds the size of a response's body, in bytes. The largest is the configuration dump of a proxy: about 1 MB
// in a small mesh, and some tens in a cluster of a thousand Services.
const maxBody = 64 << 20

// ReadBody returns what a response's body has: an error, and no part of it, if that is too large.
func ReadBody(body io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxBody:
		return nil, fmt.Errorf("the body: more than %d bytes: must be at most %d MiB", maxBody, maxBody>>20)
	}
	return text, nil
}

// Body returns the status and the body of the response to a GET request.
func Body(ctx context.Context, client *http.Client, url string) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = ReadBody(response.Body)
	if err != nil {
		err = fmt.Errorf("read %s: %w", url, err)
	}
	return response.StatusCode, body, err
}

// JSON decodes the JSON at a URL into a value; found is false when the status is 404.
func JSON(ctx context.Context, client *http.Client, url string, into any) (found bool, err error) {
	status, body, err := Body(ctx, client, url)
	switch {
	case err != nil:
		return false, err
	case status == http.StatusNotFound:
		return false, nil
	case status != http.StatusOK:
		return false, fmt.Errorf("read %s: status %d", url, status)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return false, fmt.Errorf("read %s: %w", url, err)
	}
	return true, nil
}

// Get returns the samples with the given names from http://ADMIN/metrics. The samples of a histogram are
// named NAME_bucket, NAME_sum and NAME_count, as in the text format. Without an error the result is not nil.
func Get(ctx context.Context, client *http.Client, admin string, names ...string) (model.Vector, error) {
	status, text, err := Body(ctx, client, "http://"+admin+"/metrics")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d", status)
	}
	var samples model.Vector
	if err == nil {
		samples, err = Parse(text, names...)
	}
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", admin, err)
	}
	return samples, nil
}

// Parse returns the samples with the given names in a text: see Get.
func Parse(text []byte, names ...string) (model.Vector, error) {
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
