package main

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

const metrics = `# HELP x y
# TYPE fleetman_simulator_report_duration_seconds histogram
fleetman_simulator_report_duration_seconds_bucket{outcome="delivered",le="0.05"} 90
fleetman_simulator_report_duration_seconds_bucket{outcome="delivered",le="0.0005"} 10
fleetman_simulator_report_duration_seconds_bucket{outcome="delivered",le="+Inf"} 95
fleetman_simulator_report_duration_seconds_bucket{outcome="failed",le="0.05"} 1
fleetman_simulator_report_duration_seconds_bucket{outcome="failed",le="+Inf"} 5
fleetman_simulator_report_duration_seconds_sum{outcome="failed"} 1.5e+06
fleetman_simulator_reports_total{outcome="delivered"} 95
fleetman_simulator_reports_total{outcome="failed"} 4
fleetman_simulator_reports_total{outcome="refused"} 1
fleetman_simulator_reports_skipped_total 7
go_goroutines 9
`

func TestParseCounters(t *testing.T) {
	got, err := parseCounters(metrics)
	want := counters{histogram{[]float64{.0005, .05, math.Inf(1)}, []float64{10, 91, 100}}, 5, 7}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, tc := range []struct{ text, err string }{
		{"", "expected fleetman_simulator_reports_skipped_total"},
		{"fleetman_simulator_reports_skipped_total many\n", "expected a sample"},
		{"alone\n", "expected a sample"},
		{strings.ReplaceAll(metrics, "+Inf", "60"), `expected le="+Inf"`},
		{strings.ReplaceAll(metrics, "+Inf", "high"), `le="high"`},
	} {
		if _, err := parseCounters(tc.text); err == nil || !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%.60q: got %v, want %q", tc.text, err, tc.err)
		}
	}
}
