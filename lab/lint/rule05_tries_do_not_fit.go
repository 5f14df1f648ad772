package lint

import (
	"fmt"
	"sort"
	"time"
)

var triesDoNotFit = &Rule{
	Number: 5, Name: "tries-do-not-fit", Severity: Error,
	Finds:   "tries that do not fit: (1 + attempts) × perTryTimeout + back-off > timeout; perTryTimeout at or above timeout; a per-try time-out without retries",
	Reason:  "timeout is for all tries together. A try that begins late is cut, one that would begin later does not happen, and the caller pays for the wait.",
	Source:  "https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPRetry",
	check:   checkTriesDoNotFit,
	proof:   ofRoute(proveTriesDoNotFit),
	NoProof: "a warning about back-off: the waits are random, and a run may have none that is long enough",
}

func checkTriesDoNotFit(p *pass) {
	for _, r := range p.allRoutes {
		own, timeout := r.retries(), r.timeout()
		perTry := own.value.at("perTryTimeout")
		switch tries := time.Duration(1 + own.n); {
		case r.hasFault() || own.perTry == 0:
		case own.n == 0:
			p.report(perTry, "write timeout: "+short(own.perTry)+" on the route, or attempts",
				"perTryTimeout %s without attempts: the route has no retries, and no limit for its only try", short(own.perTry))
		case timeout == 0:
		case own.perTry >= timeout:
			p.report(perTry, fmt.Sprintf("write perTryTimeout: %s or less, or a longer timeout", short(fit(timeout, own))),
				"perTryTimeout %s is not below timeout %s: the first try uses all of the time, and a slow answer is never retried", short(own.perTry), short(timeout))
		case tries*own.perTry > timeout:
			cut := timeout/own.perTry + 1
			later := ""
			if cut < tries {
				later = ", and no later one begins"
			}
			fewer := ""
			if n := own.fitting(timeout); n > 0 {
				fewer = fmt.Sprintf(" attempts: %d,", n)
			}
			p.report(own.value.at("attempts"), fmt.Sprintf("write perTryTimeout: %s or less,%s or timeout: %s", short(fit(timeout, own)), fewer, short(own.whole())),
				"%d tries of %s take %s, and timeout is %s: the %s does not end%s", tries, short(own.perTry), short(tries*own.perTry), short(timeout), ordinal(int(cut)), later)
		case own.whole() > timeout:
			p.reportAs(Warning, own.value.at("attempts"), fmt.Sprintf("write perTryTimeout: %s or less, or timeout: %s", short(fit(timeout, own)), short(own.whole())),
				"%d tries of %s take %s with the waits between them, and timeout is %s: the last one is cut by up to %s",
				tries, short(own.perTry), short(own.whole()), short(timeout), short(own.whole()-timeout))
		}
	}
}

// fit is the longest time-out of one try with which all fit.
func fit(timeout time.Duration, t retries) time.Duration {
	left := max(timeout-backoffs(t.n, t.backoff, 10*t.backoff), timeout/2)
	return (left / time.Duration(1+t.n)).Truncate(10 * time.Millisecond)
}

// fitting is the number of retries that fit in a time-out with their waits.
func (t retries) fitting(timeout time.Duration) int {
	return sort.Search(t.n, func(n int) bool {
		t.n = n + 1
		return t.whole() > timeout
	})
}

func ordinal(n int) string {
	switch {
	case n%100 >= 11 && n%100 <= 13:
	case n%10 == 1:
		return fmt.Sprintf("%dst try", n)
	case n%10 == 2:
		return fmt.Sprintf("%dnd try", n)
	case n%10 == 3:
		return fmt.Sprintf("%drd try", n)
	}
	return fmt.Sprintf("%dth try", n)
}

// short is a duration as manifests have it: 1m30s, 2s, 250ms.
func short(d time.Duration) string {
	text := d.String()
	if d >= time.Minute && d%time.Minute == 0 {
		text = text[:len(text)-2]
	}
	if d >= time.Hour && d%time.Hour == 0 {
		text = text[:len(text)-2]
	}
	return text
}
