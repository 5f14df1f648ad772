package report

import (
	"math"
	"strconv"
	"strings"
)

// unit formats a figure.
type unit struct {
	name string
	show func(float64) string
}

var (
	percent = unit{" %", func(v float64) string { return number(v*100, 1) }}
	latency = unit{" s", func(v float64) string { return number(v, 3) }}
	age     = unit{" s", func(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }}
	rate    = unit{"", func(v float64) string { return number(v, 2) }}
	ratio   = unit{"", func(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }}
	whole   = unit{"", func(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }}

	milliseconds = unit{" ms", func(v float64) string { return strconv.FormatFloat(math.Round(v*1e5)/100+0, 'f', 2, 64) }}
	ofCores      = unit{" cores", func(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }}
	megabytes    = unit{" MB", func(v float64) string { return strconv.FormatFloat(v/1e6, 'f', 0, 64) }}
)

// each formats a figure of all runs: one value, or lowest..highest; "-" for a
// run without it.
func (a Arm) each(u unit, figure func(Run) *float64) string {
	low, high, missing := math.Inf(1), math.Inf(-1), 0
	for _, r := range a.Runs {
		if v := figure(r); v != nil {
			low, high = min(low, *v), max(high, *v)
		} else {
			missing++
		}
	}
	switch from, to := u.show(low), u.show(high); {
	case missing == len(a.Runs):
		return "-"
	case missing > 0 && from == to:
		return from + u.name + " or -"
	case missing > 0:
		return from + ".." + to + u.name + " or -"
	case from == to:
		return from + u.name
	default:
		return from + ".." + to + u.name
	}
}

// number has at most the given decimals, and no zeros at its end. A percentage
// just below 100 is rounded down: 99.96 % is not 100 %.
func number(v float64, decimals int) string {
	if scale := math.Pow10(decimals); v < 100 && v > 99 {
		v = math.Floor(v*scale+1e-6) / scale
	}
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
