package lint

import (
	"fmt"
	"time"
)

var lateSweep = &Rule{
	Number: 16, Name: "late-sweep", Severity: Warning,
	Finds:  "interval far above baseEjectionTime; a time to open, at the given rate, that is longer than the fault of interest",
	Reason: "An ejected host returns only at a sweep, which happens every interval. Consecutive errors eject at once, but they have to arrive first: on n hosts at a rate r, it takes n × errors / r.",
	Source: "https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier#ejection-algorithm",
	check:  checkLateSweep,
	proof:  ofCluster(proveLateSweep),
}

// defaultInterval is Envoy's time between two sweeps.
const defaultInterval = 10 * time.Second

func checkLateSweep(p *pass) {
	for _, c := range p.clusters {
		if !c.outliers.has() {
			continue
		}
		at := c.outliers.at("interval")
		interval, base := at.duration(defaultInterval), c.baseEjection()
		if interval >= 2*base {
			p.report(at.or(c.outliers.at("baseEjectionTime")), "write interval: "+short(max(base/3, time.Millisecond)),
				"a host of %s is ejected for baseEjectionTime %s, but returns only at a sweep, every %s: it may be away for %s", c.name(), short(base), short(interval), short(base+interval))
		}
		n, errors := c.hosts(), c.ejectingErrors()
		if n == 0 || p.Rate == 0 {
			continue
		}
		if open := time.Duration(float64(n*errors) / p.Rate * float64(time.Second)).Round(100 * time.Millisecond); open > p.Fault {
			p.report(c.outliers.at("consecutive5xxErrors").or(c.outliers), fmt.Sprintf("write consecutive5xxErrors: %d or less", max(int(p.Fault.Seconds()*p.Rate/float64(n))/2, 1)),
				"at %g requests per second each of %s of %s gets %.3g: %d errors take %s, longer than a fault of %s",
				p.Rate, counted(n, "host"), c.name(), p.Rate/float64(n), errors, short(open), short(p.Fault))
		}
	}
}
