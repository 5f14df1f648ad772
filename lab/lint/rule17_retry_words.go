package lint

import (
	"slices"
	"strings"
)

var retryWords = &Rule{
	Number: 17, Name: "retry-words", Severity: Warning,
	Finds:   "retryOn words that do not mean what they seem: 503 for a reset, a number where a class is meant; a perTryTimeout whose end no word retries",
	Reason:  "A number matches the status of an answer. A connection that fails or is reset between two proxies has no answer: the 503 that the caller sees is its own proxy's, and so is the 504 of a try that took too long. (What a program resets behind its own proxy is answered 503 by that one, and matches.) And a number is one status, not its class.",
	Source:  "https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter#x-envoy-retry-on",
	Report:  "https://github.com/istio/istio/issues/51762",
	check:   checkRetryWords,
	proof:   ofRoute(proveRetryWords),
	NoProof: "a service of one host, where a retry meets the same fault",
}

func checkRetryWords(p *pass) {
	for _, r := range p.allRoutes {
		own := r.retries()
		if r.hasFault() || own.n == 0 {
			continue
		}
		resets := slices.ContainsFunc(own.on, func(word string) bool { return slices.Contains([]string{"5xx", "gateway-error", "reset"}, word) })
		on := own.value.at("retryOn")
		if on.has() {
			p.checkNumbers(r, own, on, resets)
		}
		switch {
		case own.perTry == 0 || resets:
		case on.has():
			p.report(on, "write retryOn: reset,"+strings.Join(own.on, ","),
				"%s: no word of retryOn is for a try that took longer than perTryTimeout %s: the caller gets 504, without a retry", r.name(), short(own.perTry))
		default:
			p.report(own.value.at("perTryTimeout"), "write retryOn: reset,connect-failure,refused-stream",
				"%s: without retryOn, failed connections and refused streams are retried, but not a try that took longer than perTryTimeout %s: the caller gets 504, without a retry", r.name(), short(own.perTry))
		}
	}
}

// checkNumbers reports numbers that seem to be more than one status of an answer.
func (p *pass) checkNumbers(r *route, own retries, on value, resets bool) {
	codes := 0
	for _, word := range own.on {
		code, isCode := status(word)
		if isCode {
			codes++
		}
		switch {
		case resets:
		case code == 503:
			p.report(on, "write retryOn: reset,connect-failure,"+word,
				"%s: 503 matches an answer of the service's only: a connection that is reset, or a host that is gone, is not retried, though the caller sees 503", r.name())
		case code == 504:
			p.report(on, "write retryOn: reset,"+word, "%s: 504 matches an answer of the service's only: a try that takes longer than perTryTimeout is not retried, though the caller sees 504", r.name())
		case code == 500:
			p.report(on, "write retryOn: 5xx", "%s: 500 is one status, not its class: 502, 503 and 504 are not retried", r.name())
		}
	}
	if slices.Contains(own.on, "retriable-status-codes") && codes == 0 {
		p.report(on, "add the numbers, such as 503", "%s: retriable-status-codes without a number matches no status", r.name())
	}
}
