package lint

import (
	"fmt"
	"slices"
	"strings"
)

var unsafeRetry = &Rule{
	Number: 8, Name: "unsafe-retry", Severity: Error,
	Finds:   "retries of what is not safe to repeat; defaults of the pinned version that repeat what may have been executed",
	Reason:  "A 5xx or a reset says nothing about whether the request was executed. A POST that is sent twice may pay twice. Without retries of its own, a route of the pinned version repeats failed connections and refused streams, which nobody executed, but for gRPC also the statuses unavailable and cancelled, which a server sends of calls that it began. Inbound it repeats HTTP requests that were reset before they were sent (reset-before-request), and nothing of gRPC.",
	Source:  "https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter#x-envoy-retry-on",
	Report:  "https://github.com/istio/istio/issues/50506",
	check:   checkUnsafeRetry,
	proof:   proveUnsafeRetry,
	NoProof: "gRPC, which the fleet's programs do not speak",
}

func checkUnsafeRetry(p *pass) {
	for _, r := range p.allRoutes {
		own := r.retries()
		word := own.repeatsExecuted()
		method := r.unsafeMethod()
		if r.hasFault() || own.n == 0 || word == "" || method == "" {
			continue
		}
		p.report(own.value.at("retryOn").or(own.value), "match method GET for this route, and add one with attempts: 0 for the others",
			"%s accepts %s and repeats it at most %s on %s, also when it was executed", r.name(), method, times(own.n), word)
	}
	for _, w := range p.workloads {
		if l := &w.library; l.unsafe && l.tries > 1 && len(w.calls) > 0 {
			p.about = subject{edge: w.calls[0]}
			p.report(l.set("RETRY_UNSAFE"), "remove RETRY_UNSAFE",
				"%s repeats every call at most %s, also a POST that was executed", w.name, times(l.tries-1))
		}
	}
	p.about = subject{}
	p.checkDefaults()
}

// unsafeMethod returns a method that is not safe to repeat and that the route
// accepts; "" if there is none.
func (r *route) unsafeMethod() string {
	for _, method := range []string{"POST", "PATCH"} {
		if r.accepts(method) {
			return method
		}
	}
	return ""
}

// checkDefaults finds gRPC services whose callers' proxies have the default
// retries.
func (p *pass) checkDefaults() {
	if !p.mesh {
		return
	}
	for _, s := range p.services {
		for _, port := range s.object.at("spec", "ports").items() {
			if !isGRPC(port) || p.hasOwnRetries(s) {
				continue
			}
			p.reportAs(Warning, port, fmt.Sprintf("add a VirtualService for %s with retries: {attempts: 0}, or with retryOn: connect-failure,refused-stream", s.name),
				"%s is gRPC and no route sets its retries: by default a call is repeated twice on unavailable and cancelled, also when it was executed", s.name)
		}
	}
}

func isGRPC(port value) bool {
	protocol := port.at("appProtocol").text()
	if protocol == "" {
		protocol, _, _ = strings.Cut(port.at("name").text(), "-")
	}
	return protocol == "grpc"
}

// hasOwnRetries reports whether every route in the mesh to a service sets its
// retries, and there is one.
func (m *model) hasOwnRetries(s *service) bool {
	return m.isRouted(s) && !slices.ContainsFunc(m.allRoutes, func(r *route) bool { return r.isFor(s) && !r.http.at("retries").has() })
}

// times is a number of times: once, twice, 3 times.
func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}
