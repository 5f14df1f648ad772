package lint

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// route is one HTTP route of a VirtualService.
type route struct {
	rule  *object
	hosts []string // full names
	http  value
	to    []destination
}

// destination is a host, by its full name, or a subset of it.
type destination struct{ host, subset string }

// findRoutes returns the routes of all VirtualServices.
func (m *model) findRoutes() (all []*route) {
	for _, rule := range m.of("VirtualService") {
		var hosts []string
		for _, host := range rule.at("spec", "hosts").texts() {
			hosts = append(hosts, fullName(host, rule.Namespace))
		}
		for _, http := range rule.at("spec", "http").items() {
			r := &route{rule: rule, hosts: hosts, http: http}
			for _, weighted := range http.at("route").items() {
				to := weighted.at("destination")
				r.to = append(r.to, destination{fullName(to.at("host").text(), rule.Namespace), to.at("subset").text()})
			}
			all = append(all, r)
		}
	}
	return all
}

// inMesh reports whether the callers' proxies have a VirtualService, and not
// only gateways.
func inMesh(rule *object) bool {
	gateways := rule.at("spec", "gateways").texts()
	return len(gateways) == 0 || slices.Contains(gateways, "mesh")
}

// isFor reports whether callers' proxies have the route for a service.
func (r *route) isFor(s *service) bool { return inMesh(r.rule) && slices.Contains(r.hosts, s.host) }

// isVisible reports whether proxies of a namespace have an object, by its
// exportTo.
func isVisible(rule *object, ns string) bool {
	to := rule.at("spec", "exportTo").texts()
	return len(to) == 0 || slices.ContainsFunc(to, func(scope string) bool {
		return scope == "*" || scope == ns || scope == "." && rule.Namespace == ns
	})
}

// routes returns the routes that a workload's proxy has for a host, in order.
func (m *model) routes(e *edge) []*route {
	var found []*route
	if !e.from.meshed {
		return nil
	}
	for _, r := range m.allRoutes {
		if inMesh(r.rule) && isVisible(r.rule, e.from.ns) && slices.Contains(r.hosts, e.host) {
			found = append(found, r)
		}
	}
	return found
}

// read returns the route of a GET to which no other condition applies, or nil.
func (m *model) read(e *edge) *route {
	return first(m.routes(e), func(r *route) bool {
		matches := r.http.at("match").items()
		return len(matches) == 0 || slices.ContainsFunc(matches, func(match value) bool {
			keys := match.keys()
			return (len(keys) == 0 || len(keys) == 1 && keys[0] == "method") && allows(match, "GET")
		})
	})
}

// name is the route's name in messages.
func (r *route) name() string {
	if name := r.http.at("name").text(); name != "" {
		return r.rule.Ref() + ", route " + name
	}
	return r.rule.Ref()
}

// hasFault reports whether a route injects faults. Its retries and its time-out
// do not act on them: rule 11, and no other rule on them.
func (r *route) hasFault() bool { return r.http.at("fault").has() }

// allows reports whether a condition allows a method.
func allows(match value, method string) bool {
	switch want := match.at("method"); {
	case !want.has():
		return true
	case want.at("exact").has():
		return want.at("exact").text() == method
	case want.at("prefix").has():
		return strings.HasPrefix(method, want.at("prefix").text())
	default:
		form, err := regexp.Compile("^(?:" + want.at("regex").text() + ")$")
		return err != nil || form.MatchString(method)
	}
}

// accepts reports whether some request of a method takes a route.
func (r *route) accepts(method string) bool {
	matches := r.http.at("match").items()
	return len(matches) == 0 || slices.ContainsFunc(matches, func(match value) bool { return allows(match, method) })
}

// timeout is the route's; 0: none.
func (r *route) timeout() time.Duration { return r.http.at("timeout").duration(0) }

// retries are those that a route sets itself; without a fault.
type retries struct {
	value   value
	n       int // beyond the first try
	perTry  time.Duration
	on      []string
	backoff time.Duration
}

// defaultRetryOn is the pinned version's, for a policy without retryOn.
var defaultRetryOn = []string{"connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes"}

// defaultBackoff is Envoy's base interval; no wait is longer than ten times it.
const defaultBackoff = 25 * time.Millisecond

// retries returns the route's own retries; n is 0 when it has none.
func (r *route) retries() retries {
	v := r.http.at("retries")
	own := retries{value: v, n: min(v.at("attempts").count(0), maxTries), perTry: v.at("perTryTimeout").duration(0), backoff: v.at("backoff").duration(defaultBackoff)}
	own.on = words(v.at("retryOn").text())
	if len(own.on) == 0 {
		own.on = defaultRetryOn
	}
	return own
}

// words returns the parts of a list with commas.
func words(text string) []string {
	var found []string
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			found = append(found, word)
		}
	}
	return found
}

// tries is the number of tries of one request.
func (r *route) tries() int {
	if r == nil || r.hasFault() {
		return 1
	}
	return 1 + r.retries().n
}

// total is how long a request may take on a route, all tries included; 0: no
// limit.
func (r *route) total() time.Duration {
	if r == nil {
		return 0
	}
	own := r.retries()
	if own.perTry == 0 || own.n == 0 {
		return r.timeout()
	}
	return lower(r.timeout(), own.whole())
}

// whole is the longest that all tries take, with the waits between them; 0: no
// limit.
func (t retries) whole() time.Duration {
	return time.Duration(1+t.n)*t.perTry + backoffs(t.n, t.backoff, 10*t.backoff)
}

// status returns a word of retryOn that is a status code.
func status(word string) (code int, ok bool) {
	code, err := strconv.Atoi(word)
	return code, err == nil
}

// repeatsAnswers returns the first word by which an answer of 500 or more, or one
// that the service may have begun, is repeated; "" if there is none.
func (t retries) repeatsAnswers() string {
	for _, word := range t.on {
		code, isCode := status(word)
		if isCode && code >= 500 || slices.Contains([]string{"5xx", "gateway-error"}, word) {
			return word
		}
	}
	return ""
}

// repeatsExecuted returns the first word by which a request that may have been
// executed is repeated; "" if there is none. A failed connection and a refused
// stream are not: the service has not seen the request.
func (t retries) repeatsExecuted() string {
	never := []string{"connect-failure", "refused-stream", "reset-before-request", "http3-post-connect-failure", "envoy-ratelimited"}
	for _, word := range t.on {
		if slices.Contains(never, word) || word == "retriable-status-codes" || word == "retriable-headers" || slices.Contains(grpcWords, word) && !t.value.at("retryOn").has() {
			continue
		}
		return word
	}
	return ""
}

// grpcWords are the words for statuses of gRPC.
var grpcWords = []string{"cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"}
