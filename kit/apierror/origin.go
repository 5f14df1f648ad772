package apierror

import (
	"net/http"
	"strings"
)

// OriginHeader is the header in which a service that fails because of another one names the origin of
// the failure: "upstream; service=staff-service". Each service on the way back copies it. A failure
// without it originates in the service that answered. The header is for programs; the message, for
// people, may change. If the library gave up (a time-out, a breaker, a bulkhead), the error's JSON has the
// kind too: "origin":"breaker". The JSON of any other error has the fields of the original only.
const OriginHeader = "X-Error-Origin"

// Origin is the component that produced a failure, and how.
type Origin struct {
	Kind    OriginKind
	Service string // the service that failed, or could not be called
}

// OriginKind is how a call to a service failed.
type OriginKind string

// The kinds of an origin.
const (
	OriginUpstream OriginKind = "upstream" // a 5xx, a broken connection or none at all
	OriginTimeout  OriginKind = "timeout"  // no answer in time
	OriginBreaker  OriginKind = "breaker"  // the caller's circuit breaker refused the call
	OriginBulkhead OriginKind = "bulkhead" // the caller's bulkhead refused the call
)

const originService = "; service="

func (o Origin) String() string { return string(o.Kind) + originService + o.Service }

// ReadOrigin returns the origin in the headers of an answer. It returns false without exactly one
// well-formed OriginHeader.
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

// isServiceName reports whether name is a DNS label, as names of Kubernetes Services are.
func isServiceName(name string) bool {
	return name != "" && len(name) <= 63 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
