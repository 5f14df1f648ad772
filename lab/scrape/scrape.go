// Package scrape reads what a pod counts: its /metrics, in Prometheus's text
// form.
package scrape

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Sample is one line of metrics.
type Sample struct {
	Name   string
	Labels map[string]string
	Value  float64
}

// maxMetrics bounds what is read of a pod, in bytes.
const maxMetrics = 8 << 20

// Get reads the metrics whose names wanted accepts from http://admin/metrics.
func Get(ctx context.Context, client *http.Client, admin string, wanted func(name string) bool) ([]Sample, error) {
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
	samples, err := Parse(io.LimitReader(response.Body, maxMetrics), wanted)
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", admin, err)
	}
	return samples, nil
}

// Parse reads the lines whose names wanted accepts. Others are not looked at.
func Parse(text io.Reader, wanted func(name string) bool) ([]Sample, error) {
	var samples []Sample
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		end := strings.IndexAny(line, "{ ")
		if end <= 0 || line[0] == '#' || !wanted(line[:end]) {
			continue
		}
		s, err := parseSample(line, end)
		if err != nil {
			return nil, fmt.Errorf("%.80q: %w", line, err)
		}
		samples = append(samples, s)
	}
	return samples, lines.Err()
}

func parseSample(line string, end int) (Sample, error) {
	s := Sample{Name: line[:end], Labels: map[string]string{}}
	rest := line[end:]
	if strings.HasPrefix(rest, "{") {
		rest = rest[1:]
		for !strings.HasPrefix(rest, "}") {
			name, after, found := strings.Cut(rest, "=")
			quoted, err := strconv.QuotedPrefix(after)
			if !found || err != nil {
				return s, fmt.Errorf("label=\"value\" is expected")
			}
			if s.Labels[strings.TrimSpace(name)], err = strconv.Unquote(quoted); err != nil {
				return s, fmt.Errorf("label %s: %w", name, err)
			}
			rest = strings.TrimPrefix(after[len(quoted):], ",")
		}
		rest = rest[1:]
	}
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ") // a time may follow
	var err error
	if s.Value, err = strconv.ParseFloat(number, 64); err != nil {
		return s, fmt.Errorf("a number is expected")
	}
	return s, nil
}
