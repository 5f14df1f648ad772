package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fleetman.example/lab/scenario"
)

// like returns a function that reports whether a record matches. An incomplete response does not match.
func like(a *scenario.Answer) func(Record) bool {
	return func(r Record) bool {
		if a.Reset {
			return r.Reset
		}
		if r.Status == 0 || r.Failure != "" {
			// A request without a response matches one that is only slow.
			onlySlow := len(a.Status) == 0 && a.Body == nil && len(a.Header) == 0 && a.SlowerThan.Duration > 0
			return onlySlow && inTime(a, r.Took)
		}
		if len(a.Status) > 0 && !slices.ContainsFunc(a.Status, func(s scenario.Status) bool { return s.Is(r.Status) }) {
			return false
		}
		if a.Body != nil && !a.Body.Match(r.Body) {
			return false
		}
		for name, pattern := range a.Header {
			if !pattern.MatchString(r.Header.Get(name)) {
				return false
			}
		}
		return inTime(a, r.Took)
	}
}

// inTime reports whether an answer took as long as it should.
func inTime(a *scenario.Answer, took time.Duration) bool {
	return (a.FasterThan.Duration == 0 || took < a.FasterThan.Duration) && (a.SlowerThan.Duration == 0 || took > a.SlowerThan.Duration)
}

func received(want *scenario.Received, call Call) bool {
	return slices.Contains(want.By, call.Deployment) &&
		(want.Method == "" || want.Method == call.Method) &&
		(want.Path == nil || want.Path.MatchString(call.Path)) &&
		(want.Identity == nil || want.Identity.MatchString(call.Identity))
}

// describe returns the description of a response, in words.
func describe(a *scenario.Answer) string {
	var parts []string
	if a.Reset {
		parts = append(parts, "a connection reset")
	}
	for _, s := range a.Status {
		if s.Class != 0 {
			parts = append(parts, fmt.Sprintf("status %dxx", s.Class))
		} else {
			parts = append(parts, fmt.Sprintf("status %d", s.Code))
		}
	}
	if len(parts) > 1 {
		parts = []string{strings.Join(parts, " or ")}
	}
	if a.Body != nil {
		parts = append(parts, fmt.Sprintf("body /%s/", a.Body))
	}
	for _, name := range slices.Sorted(maps.Keys(a.Header)) {
		parts = append(parts, fmt.Sprintf("%s /%s/", name, a.Header[name]))
	}
	if a.FasterThan.Duration > 0 {
		parts = append(parts, fmt.Sprintf("in less than %v", a.FasterThan))
	}
	if a.SlowerThan.Duration > 0 {
		parts = append(parts, fmt.Sprintf("after more than %v", a.SlowerThan))
	}
	return strings.Join(parts, ", ")
}

func describeReceived(r *scenario.Received) string {
	text := strings.Join(r.By, " or ")
	if r.Method != "" {
		text += " as " + r.Method
	}
	if r.Path != nil {
		text += fmt.Sprintf(", path /%s/", r.Path)
	}
	if r.Identity != nil {
		text += fmt.Sprintf(", from /%s/", r.Identity)
	}
	return text
}

// describeRequests returns the description of a check's requests, in words.
func describeRequests(r *scenario.Requests) string {
	from := "the ingress"
	switch {
	case r.From.NodePort != 0:
		from = fmt.Sprintf("node port %d", r.From.NodePort)
	case r.From.Workload != "":
		from = r.From.Workload + " to " + r.To
	}
	text := fmt.Sprintf("%d× %s %s from %s", r.Count, cmp.Or(r.Method, "GET"), r.Path, from)
	if r.Host != "" {
		text += " for " + r.Host
	}
	if r.Bearer != "" {
		text += ", token " + r.Bearer
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		if r.Bearer != "" && name == "Authorization" {
			continue
		}
		text += fmt.Sprintf(", %s: %s", name, r.Headers[name])
	}
	switch {
	case r.Rate > 0:
		text += fmt.Sprintf(", %v a second", r.Rate)
	case r.Concurrency > 1:
		text += fmt.Sprintf(", %d at once", r.Concurrency)
	}
	if r.EachHeader != nil {
		text += fmt.Sprintf(", %d values of %s by seed %d", r.EachHeader.Values, r.EachHeader.Name, r.Seed)
	}
	if r.EachSource > 0 {
		text += fmt.Sprintf(", %d sources", r.EachSource)
	}
	if r.EachVisitor > 0 {
		text += fmt.Sprintf(", %d visitors with cookies", r.EachVisitor)
	}
	return text
}
