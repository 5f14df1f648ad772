package report

import (
	"slices"
	"strings"

	"fleetman.example/lab/record"
)

// Origins of a failed answer: where it was made, not only passed on.
const (
	FromApp     = "app"                   // a service's own code, or its fault
	FromLibrary = "library"               // a chain that gave up, or did not try
	FromCaller  = "sidecar of the caller" // by its time-out, its limits, or for want of a replica
	FromCallee  = "sidecar of the callee" // its service broke the connection, say
	FromGateway = "gateway"               // a gateway of the mesh
	Unknown     = "unknown"               // no proxy has logged it
)

// Origins are all, in the order in which they are shown.
var Origins = []string{FromApp, FromLibrary, FromCaller, FromCallee, FromGateway, Unknown}

// origins counts where the failed answers were made; nil when there is none.
func origins(requests []record.Request, proxied bool) map[string]int {
	var found map[string]int
	for _, r := range requests {
		if r.Failed() {
			if found == nil {
				found = map[string]int{}
			}
			found[origin(r, proxied)]++
		}
	}
	return found
}

// origin follows a failed request from its door inwards, as long as what a
// proxy answered was only passed on. Where the proxies say nothing it goes by
// what the answer says itself.
func origin(r record.Request, proxied bool) string {
	if proxied && len(r.Passages) == 0 {
		return Unknown
	}
	door, gaveUp := "", false // the pod that the request came to first; its caller went away
	for _, p := range r.Passages {
		switch p.Side {
		case record.AtGateway:
			if !passedOn(p) {
				return FromGateway
			}
		case record.In:
			if door == "" {
				door = p.Proxy
				if gaveUp = left(p); !gaveUp && !passedOn(p) {
					return FromCallee
				}
			}
		}
	}
	out, called := lastFailed(r.Passages, func(p record.Passage) bool { return p.Side == record.Out })
	if !called {
		return bySaying(r)
	}
	switch {
	case left(out) && !gaveUp:
		return FromLibrary
	case !left(out) && !passedOn(out):
		return FromCaller
	}
	in, known := lastFailed(r.Passages, func(p record.Passage) bool {
		return p.Side == record.In && p.Proxy != door && (out.To == "" || p.Proxy == out.To)
	})
	if known && !left(in) && !passedOn(in) {
		return FromCallee
	}
	return FromApp
}

func lastFailed(passages []record.Passage, is func(record.Passage) bool) (record.Passage, bool) {
	for _, p := range slices.Backward(passages) {
		if is(p) && (p.Status != 200 || p.Flags != "-") {
			return p, true
		}
	}
	return record.Passage{}, false
}

// passedOn tells an answer, or the end of one, that came from behind the
// proxy.
func passedOn(p record.Passage) bool {
	return p.Details == "via_upstream" || strings.HasPrefix(p.Details, "upstream_reset_after_response_started")
}

// left tells that the proxy's caller went away before the answer was whole.
func left(p record.Passage) bool {
	return slices.Contains(strings.Split(p.Flags, ","), "DC")
}

// bySaying goes by the message. A service without the library has no
// time-out of its own that ends before its callers'.
func bySaying(r record.Request) string {
	what, _, said := strings.Cut(r.Error, " reading ")
	if r.Status != 0 && said && r.Injected == "" {
		switch what {
		case "circuit open", "too many concurrent calls", "no answer in time":
			return FromLibrary
		}
	}
	return FromApp
}
