package lint

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

var keepAlive = &Rule{
	Number: 19, Name: "short-keep-alive", Severity: Warning,
	Finds:   "a server's keep-alive shorter than its callers' idle time-out",
	Reason:  "A connection that the server closes while the caller sends a request on it is reset, and a POST is not repeated. The side that sends should close first. A proxy keeps idle connections for 1h, the library for 90s.",
	Source:  "https://istio.io/latest/docs/reference/config/networking/destination-rule/#ConnectionPoolSettings-HTTPSettings",
	Report:  "https://github.com/istio/istio/issues/55138",
	check:   checkKeepAlive,
	NoProof: "the two ends close within a fraction of a millisecond of each other: whether a run meets that is chance",
}

// The idle time-outs of connections that nobody configures.
const (
	proxyIdle   = time.Hour
	libraryIdle = 90 * time.Second
	fleetIdle   = 3 * time.Minute // of the fleet's servers
)

func checkKeepAlive(p *pass) {
	for _, s := range p.services {
		for _, w := range s.workloads {
			server, at := w.keepAlive()
			p.checkCallers(s, w, server, at)
		}
	}
}

// checkCallers compares a server's keep-alive with the idle time-outs of its own
// proxy, which takes it from the DestinationRule, and of callers without one.
func (p *pass) checkCallers(s *service, w *workload, server time.Duration, at value) {
	own := value{}
	for _, c := range p.clusters {
		if c.service == s {
			own = own.or(c.pool.at("http", "idleTimeout")).or(c.pool.at("tcp", "idleTimeout"))
		}
	}
	idle, whose := libraryIdle, "callers keep"
	switch {
	case w.meshed:
		idle, whose = own.duration(proxyIdle), "proxies keep"
	case len(s.calledBy) == 0:
		return
	}
	const closes = "%s closes idle connections after %s, and %s them for %s: a request on one that is just closed is reset"
	switch {
	case server == 0 && w.program != "" && own.has() && idle > fleetIdle:
		p.report(own, "write idleTimeout: "+short(fleetIdle-time.Minute), closes, w.name, short(fleetIdle), whose, short(idle))
	case server > 0 && idle > server && own.has():
		p.report(own, "write an idleTimeout below "+short(server), closes, w.name, short(server), whose, short(idle))
	case server > 0 && idle > server:
		p.report(at, "write a keep-alive above "+short(idle)+", or idleTimeout below "+short(server)+" in a DestinationRule", closes, w.name, short(server), whose, short(idle))
	}
}

var (
	keepAliveName = regexp.MustCompile(`(?i)keep_?alive(_timeout|_seconds|_s)?$|idle_timeout$`)
	keepAliveFlag = regexp.MustCompile(`^--(?:timeout-)?keep-?alive(?:-timeout)?(?:=(\S+))?$`)
)

// keepAlive returns how long a container keeps idle connections, by a variable or
// a flag with such a name; 0 when none says it.
func (w *workload) keepAlive() (time.Duration, value) {
	for name, v := range w.env {
		if keepAliveName.MatchString(name) {
			if d := seconds(v.text); d > 0 {
				return d, v.set
			}
		}
	}
	for _, container := range w.object.at("spec", "template", "spec", "containers").items() {
		arguments := append(container.at("command").items(), container.at("args").items()...)
		for i, argument := range arguments {
			match := keepAliveFlag.FindStringSubmatch(strings.TrimSpace(argument.text()))
			if match == nil {
				continue
			}
			text := match[1]
			if text == "" && i+1 < len(arguments) {
				text = arguments[i+1].shown()
			}
			if d := seconds(text); d > 0 {
				return d, argument
			}
		}
	}
	return 0, value{}
}

// seconds reads a duration, or a number of seconds.
func seconds(text string) time.Duration {
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return time.Duration(min(max(n, 0), 1e6) * float64(time.Second))
	}
	d, _ := time.ParseDuration(text)
	return min(max(d, 0), maxDuration)
}
