package lint

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"fleetman.example/lab/record"
)

// measure computes one value of a run, and its text.
type measure func(*record.Run) (float64, string)

// percent is a share as people read it: 50 %, 0.3 %.
func percent(share float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(100*share, 'f', 1, 64), ".0") + " %"
}

// during returns the requests that were due between fault and repair, once all
// pods had the fault; of one stream, or of all for "".
func during(r *record.Run, stream string) (found []record.Request) {
	begin := r.FaultAt
	for _, e := range r.Events {
		if e.What == record.EventFaultSet && e.At < r.FaultAt+record.Offset(time.Second) {
			begin = max(begin, e.At)
		}
	}
	for _, q := range r.Requests {
		if q.Intended >= begin && q.Intended < r.RepairAt && (stream == "" || q.Route == stream) {
			found = append(found, q)
		}
	}
	return found
}

// shareOf measures the share of the requests of a stream for which is holds.
func shareOf(stream, text string, is func(record.Request) bool) measure {
	return func(r *record.Run) (float64, string) {
		requests, n := during(r, stream), 0
		for _, q := range requests {
			if is(q) {
				n++
			}
		}
		share := float64(n) / float64(max(len(requests), 1))
		return share, percent(share) + " " + text
	}
}

var (
	failed  = shareOf("", "failed", record.Request.Failed)
	notGood = shareOf("", "failed or degraded", func(q record.Request) bool { return !q.Good() })
)

// ejections counts the hosts that proxies ejected.
func ejections(r *record.Run) (float64, string) {
	n := events(r, record.EventEjected)
	return float64(n), counted(n, "ejection")
}

// openings counts the breakers of the library that opened.
func openings(r *record.Run) (float64, string) {
	n := events(r, record.EventBreaker+"open")
	return float64(n), "breakers opened " + times(n)
}

func events(r *record.Run, what string) (n int) {
	for _, e := range r.Events {
		if e.What == what {
			n++
		}
	}
	return n
}

// calls measures how many calls a service received for one request of the load,
// while there was the fault. Before and after it each request makes one.
func calls(s *service) measure {
	return func(r *record.Run) (float64, string) {
		counters := record.NewCounters(r.Samples)
		received := counters.Sum(s.hasPod, isCall, counters.Last()) - counters.Sum(s.hasPod, isCall, -record.SampleSlack)
		n := len(during(r, ""))
		received -= float64(len(r.Requests) - n)
		per := received / float64(max(n, 1))
		return per, fmt.Sprintf("%.1f calls of %s for one request", per, s.name)
	}
}

// hasPod reports whether a pod is the service's.
func (s *service) hasPod(pod string) bool {
	return slices.ContainsFunc(s.workloads, func(w *workload) bool { return record.ServiceOf(pod) == w.name })
}

// isCall reports whether a count is of requests that are no probes.
func isCall(c record.Count) bool {
	return c.Name == record.CountServer && !strings.HasSuffix(c.Of, "/readyz") && !strings.HasSuffix(c.Of, "/healthz")
}

// slowest measures the longest time until an answer.
func slowest(r *record.Run) (float64, string) {
	longest := time.Duration(0)
	for _, q := range during(r, "") {
		longest = max(longest, q.Latency())
	}
	return longest.Seconds(), "slowest answer after " + short(longest.Round(10*time.Millisecond))
}

// flagged counts the requests with one of Envoy's response flags in the access log
// of a caller's proxy.
func flagged(flag string) measure {
	return func(r *record.Run) (float64, string) {
		n := 0
		for _, q := range during(r, "") {
			if slices.ContainsFunc(q.AccessLog, func(e record.AccessLogEntry) bool {
				return e.Side == record.Out && slices.Contains(strings.Split(e.Flags, ","), flag)
			}) {
				n++
			}
		}
		return float64(n), fmt.Sprintf("%d logged with %s", n, flag)
	}
}

// firstEjection measures how many requests failed before the first ejection, and
// what caused that.
func firstEjection(r *record.Run) (float64, string) {
	i := slices.IndexFunc(r.Events, func(e record.Event) bool { return e.What == record.EventEjected })
	if i < 0 {
		return math.Inf(1), "no ejection"
	}
	errors := 0
	for _, q := range r.Requests {
		if q.Failed() && q.End <= r.Events[i].At {
			errors++
		}
	}
	cause := "consecutive5xxErrors"
	if strings.Contains(r.Events[i].Detail, "gateway") {
		cause = "consecutiveGatewayErrors"
	}
	return float64(errors), fmt.Sprintf("ejected after %s by %s", counted(errors, "error"), cause)
}

// away measures how long the first ejected host was away.
func away(r *record.Run) (float64, string) {
	from := slices.IndexFunc(r.Events, func(e record.Event) bool { return e.What == record.EventEjected })
	if from < 0 {
		return 0, "no ejection"
	}
	end, text := r.End, "a host was away for more than "
	to := slices.IndexFunc(r.Events[from:], func(e record.Event) bool { return e.What == record.EventReturned })
	if to >= 0 {
		end, text = r.Events[from+to].At, "a host was away for "
	}
	lasted := time.Duration(end - r.Events[from].At).Round(100 * time.Millisecond)
	return lasted.Seconds(), text + short(lasted)
}

// hostsOf measures how many hosts of a service received requests.
func hostsOf(s *service, what string) measure {
	return func(r *record.Run) (float64, string) {
		counters := record.NewCounters(r.Samples)
		n := 0
		for pod := range counters.Pods() {
			one := func(other string) bool { return other == pod }
			if s.hasPod(pod) && counters.Sum(one, isCall, counters.Last()) > counters.Sum(one, isCall, -record.SampleSlack) {
				n++
			}
		}
		return float64(n), what + " on " + counted(n, "host")
	}
}
