package report

import (
	"slices"
	"strings"

	"fleetman.example/lab/record"
)

// Origins of a failed answer: the component that produced it.
const (
	FromApp     = "app"                   // a service's own code, or its fault
	FromLibrary = "library"               // a stage of the chain, which gave up or did not call
	FromCaller  = "sidecar of the caller" // its time-out, a limit, or no endpoint left
	FromCallee  = "sidecar of the callee" // its service broke the connection, say
	FromGateway = "gateway"               // a gateway of the mesh
	Unknown     = "unknown"               // no proxy has an access-log entry
)

// Origins are all, in the order in which they are shown.
var Origins = []string{FromApp, FromLibrary, FromCaller, FromCallee, FromGateway, Unknown}

// origins counts the failed answers by origin.
func origins(requests []record.Request, proxied bool) map[string]int {
	found := map[string]int{}
	for _, r := range requests {
		if r.Failed() {
			found[origin(r, proxied)]++
		}
	}
	return found
}

// origin takes the answer's own word, its X-Error-Origin, for the library, and
// the proxies' access logs for the rest.
func origin(r record.Request, proxied bool) string {
	switch {
	case fromLibrary(r):
		return FromLibrary
	case !proxied:
		return FromApp
	case len(r.AccessLog) == 0:
		return Unknown
	}
	return loggedOrigin(r)
}

// fromLibrary reports whether a stage of a chain produced the answer.
func fromLibrary(r record.Request) bool {
	stage, _, _ := strings.Cut(r.Origin, ";")
	return slices.Contains([]string{"breaker", "bulkhead", "timeout"}, strings.TrimSpace(stage))
}

// loggedOrigin follows a failed request from the first pod inwards, as long as
// what a proxy answered came from behind it.
func loggedOrigin(r record.Request) string { //nolint:gocyclo // one walk from the outside in
	first, gaveUp := "", false // the pod that the request came to first; its caller left
	for _, e := range r.AccessLog {
		switch {
		case e.Side == record.AtGateway && !fromUpstream(e):
			return FromGateway
		case e.Side == record.In && first == "":
			first = e.Proxy
			if gaveUp = callerLeft(e); !gaveUp && !fromUpstream(e) {
				return FromCallee
			}
		}
	}
	out, called := lastFailed(r.AccessLog, func(e record.AccessLogEntry) bool { return e.Side == record.Out })
	switch {
	case !called:
		return FromApp
	case callerLeft(out) && !gaveUp:
		return FromLibrary
	case !callerLeft(out) && !fromUpstream(out):
		return FromCaller
	}
	in, known := lastFailed(r.AccessLog, func(e record.AccessLogEntry) bool {
		return e.Side == record.In && e.Proxy != first && (out.To == "" || e.Proxy == out.To)
	})
	if known && !callerLeft(in) && !fromUpstream(in) {
		return FromCallee
	}
	return FromApp
}

// lastFailed returns the last entry of a failure for which is holds.
func lastFailed(log []record.AccessLogEntry, is func(record.AccessLogEntry) bool) (record.AccessLogEntry, bool) {
	for _, e := range slices.Backward(log) {
		if is(e) && (e.Status/100 != 2 || e.Flags != "-") {
			return e, true
		}
	}
	return record.AccessLogEntry{}, false
}

// fromUpstream reports whether an answer, or its early end, came from behind the
// proxy.
func fromUpstream(e record.AccessLogEntry) bool {
	return e.Details == "via_upstream" || strings.HasPrefix(e.Details, "upstream_reset_after_response_started")
}

// callerLeft reports whether the proxy's caller closed the connection before the
// answer was whole.
func callerLeft(e record.AccessLogEntry) bool {
	return slices.Contains(strings.Split(e.Flags, ","), "DC")
}
