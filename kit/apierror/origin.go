package apierror

import (
	"net/http"
	"strings"
)

// OriginHeader names, in the answer of a service that was failed by another, the origin of the
// failure: "upstream; service=staff-service". A relay that is failed in turn passes it on. It is for
// programs; the message, for people, may change. An answer without it is of the service's own making.
// The error's JSON does not have it: its fields are those that the original's clients parse.
const OriginHeader = "X-Error-Origin"

// Origin is the component that produced a failure, and how.
type Origin struct {
	Kind    OriginKind
	Service string // whose failure it is
}

// OriginKind is how a call to a service failed.
type OriginKind string

// The kinds of an origin.
const (
	OriginUpstream OriginKind = "upstream" // it answered 5xx, broke off or could not be reached
	OriginTimeout  OriginKind = "timeout"  // its answer took too long
	OriginBreaker  OriginKind = "breaker"  // its caller's circuit breaker refused the call
	OriginBulkhead OriginKind = "bulkhead" // its caller's bulkhead refused the call
)

const originService = "; service="

func (o Origin) String() string { return string(o.Kind) + originService + o.Service }

// ReadOrigin returns the origin that the headers of an answer name; false where they name none, or not
// in this form.
func ReadOrigin(answer http.Header) (Origin, bool) {
	values := answer[OriginHeader]
	if len(values) != 1 {
		return Origin{}, false
	}
	kind, service, _ := strings.Cut(values[0], originService)
	switch o := (Origin{OriginKind(kind), service}); o.Kind {
	case OriginUpstream, OriginTimeout, OriginBreaker, OriginBulkhead:
		return o, isServiceName(service)
	}
	return Origin{}, false
}

// isServiceName reports whether name is a DNS label, as the names of services are.
func isServiceName(name string) bool {
	return name != "" && len(name) <= 63 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
