package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// counters is what the simulator's /metrics say of its reports.
type counters struct {
	duration histogram // of every report, whatever its outcome, in seconds
	failed   float64   // reports without an answer below 300
	skipped  float64   // reports that fell due while the vehicle's former one was in flight
}

const (
	durationMetric = "fleetman_simulator_report_duration_seconds_bucket"
	reportsMetric  = "fleetman_simulator_reports_total"
	skippedMetric  = "fleetman_simulator_reports_skipped_total"
)

// parseCounters reads the Prometheus text form as far as these metrics need it.
func parseCounters(text string) (counters, error) {
	var c counters
	buckets := make(map[float64]float64)
	known := false
	for line := range strings.Lines(text) {
		name, labels, value, err := parseSample(line)
		if err != nil {
			return c, err
		}
		switch name {
		case durationMetric:
			bound, err := strconv.ParseFloat(labels["le"], 64)
			if err != nil {
				return c, fmt.Errorf("metrics: le=%q: %w", labels["le"], err)
			}
			buckets[bound] += value
		case reportsMetric:
			if labels["outcome"] != "delivered" {
				c.failed += value
			}
		case skippedMetric:
			known = true
			c.skipped += value
		}
	}
	if !known {
		return c, errors.New("metrics: expected " + skippedMetric)
	}
	for bound := range buckets {
		c.duration.bounds = append(c.duration.bounds, bound)
	}
	slices.SortFunc(c.duration.bounds, cmp.Compare[float64])
	for _, bound := range c.duration.bounds {
		c.duration.counts = append(c.duration.counts, buckets[bound])
	}
	if n := len(c.duration.bounds); n > 0 && !math.IsInf(c.duration.bounds[n-1], 1) {
		return c, errors.New("metrics: " + durationMetric + `: expected le="+Inf"`)
	}
	return c, nil
}

// parseSample reads `name{label="value",…} number`; a comment has no name. No label value that
// these metrics have holds a quote, a comma or a brace.
func parseSample(line string) (name string, labels map[string]string, value float64, err error) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", nil, 0, nil
	}
	head, number, ok := cutLast(line, " ")
	if value, err = strconv.ParseFloat(number, 64); err != nil || !ok {
		return "", nil, 0, fmt.Errorf("metrics: %.80q: expected a sample", line)
	}
	name, inside, _ := strings.Cut(head, "{")
	labels = make(map[string]string)
	for pair := range strings.SplitSeq(strings.TrimSuffix(inside, "}"), ",") {
		key, quoted, _ := strings.Cut(pair, "=")
		labels[key] = strings.Trim(quoted, `"`)
	}
	return name, labels, value, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
