package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"fleetman.example/lab/scenario"
)

// others returns a summary of the responses that do not match.
func (o *observation) others(a *scenario.Answer) string {
	kinds := map[string]int{}
	for _, record := range o.records {
		if !like(a)(record) {
			kinds[kindOf(record)]++
		}
	}
	return tally(kinds)
}

// taken returns a summary of the workloads' calls that do not match.
func (o *observation) taken(r *scenario.Received) string {
	kinds := map[string]int{}
	for _, call := range o.calls {
		if slices.Contains(r.By, call.Deployment) && !received(r, call) {
			kinds[fmt.Sprintf("%s of %s to %s", call.Method, cmp.Or(call.Identity, "no identity"), call.Deployment)]++
		}
	}
	return tally(kinds)
}

func kindOf(record Record) string {
	switch {
	case record.Reset:
		return "reset"
	case record.Status == 0:
		return record.Failure
	case record.Failure != "":
		return fmt.Sprintf("%d, cut short", record.Status)
	}
	text := fmt.Sprint(record.Status)
	if fallback := record.Header.Get("X-Fallback"); fallback != "" {
		text += " by fallback"
	}
	if record.Took.Seconds() >= 1 {
		text += fmt.Sprintf(" after %.0f s", record.Took.Seconds())
	}
	return text
}

// mostKinds is the maximum number of kinds in a summary.
const mostKinds = 5

// tally returns a summary such as "others: 12× 503, 3× reset", most frequent first.
func tally(kinds map[string]int) string {
	if len(kinds) == 0 {
		return ""
	}
	names := slices.SortedFunc(maps.Keys(kinds), func(a, b string) int {
		return cmp.Or(kinds[b]-kinds[a], strings.Compare(a, b))
	})
	var parts []string
	for i, name := range names {
		if i == mostKinds {
			parts = append(parts, fmt.Sprintf("%d more kinds", len(names)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%d× %s", kinds[name], name))
	}
	return "others: " + strings.Join(parts, ", ")
}
