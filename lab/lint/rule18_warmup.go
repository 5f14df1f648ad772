package lint

import (
	"slices"
	"time"
)

var warmup = &Rule{
	Number: 18, Name: "warm-up", Severity: Warning,
	Finds:   "warm-up with a balancer that ignores it, or shorter than readiness takes",
	Reason:  "Only ROUND_ROBIN and LEAST_REQUEST have a slow start. Its window begins when the host appears: one that is shorter than the pod's own start is over before caches and compilers are warm.",
	Source:  "https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/slow_start",
	check:   checkWarmup,
	NoProof: "runs as written and repaired showed the share of a new host in either order: when a proxy learns of the host matters more than a window that fits in a run",
}

func checkWarmup(p *pass) {
	for _, c := range p.clusters {
		window := c.balancer.at("warmup", "duration").or(c.balancer.at("warmupDurationSecs"))
		if !window.has() {
			continue
		}
		simple := c.balancer.at("simple").text()
		if c.balancer.at("consistentHash").has() {
			simple = "consistentHash"
		}
		if slices.Contains([]string{"RANDOM", "PASSTHROUGH", "consistentHash"}, simple) {
			p.report(window, "write simple: LEAST_REQUEST or ROUND_ROBIN", "the warm-up of %s has no effect with %s: a new host gets its full share at once", c.name(), simple)
		}
		if takes := c.service.readiness(); window.duration(0) < takes {
			p.report(window, "write a duration above "+short(takes), "the warm-up of %s lasts %s, and a pod takes %s or longer to become ready: it gets its full share when it is hardly warm",
				c.name(), short(window.duration(0)), short(takes))
		}
	}
}

// readiness is how long a pod of a service takes at least to become ready, by its
// probe.
func (s *service) readiness() (longest time.Duration) {
	if s == nil {
		return 0
	}
	for _, w := range s.workloads {
		for _, container := range w.object.at("spec", "template", "spec", "containers").items() {
			probe := container.at("readinessProbe")
			seconds := probe.at("initialDelaySeconds").count(0)
			if again := probe.at("successThreshold").count(1); again > 1 {
				seconds += (again - 1) * probe.at("periodSeconds").count(10)
			}
			longest = max(longest, time.Duration(min(seconds, 100_000))*time.Second)
		}
	}
	return longest
}
