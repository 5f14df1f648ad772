package report

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"fleetman.example/lab/record"
)

// Met counts what reached the pods that had the fault, between fault and
// repair, by their own counters of the requests that have ended.
type Met struct {
	Requests float64 `json:"requests"` // the load's, and the calls that follow from them
	Reports  float64 `json:"reports"`  // other writes: the vehicles'
	Crashes  float64 `json:"crashes"`  // each ended the count of at least one of them
}

// metBy sums the counters of the pods that had the fault, until an offset. methods are
// the load's.
func metBy(c record.Counters, run *record.Run, methods []string, until record.Offset) (m Met) {
	for _, pod := range run.Pods {
		service := record.ServiceOf(pod)
		for method, n := range c.Received(pod, run.FaultAt, until) {
			ofLoad := n * run.LoadShare(c, methods, service, method, run.FaultAt, until)
			m.Requests += ofLoad
			if method == http.MethodPost {
				m.Reports += n - ofLoad
			}
		}
	}
	m.Requests, m.Reports = micro(m.Requests), micro(m.Reports)
	for _, e := range run.Events {
		if e.What == record.EventExited && slices.Contains(run.Pods, e.Who) && e.At >= run.FaultAt && e.At < until {
			m.Crashes++
		}
	}
	return m
}

var (
	// uncounted are faults that a pod's own counter does not count: those of its
	// process and of its connections.
	uncounted = regexp.MustCompile(`(^|: )(kill|roll|stop [^ ]+)( \+ |$)|(^|[ ,;])connect=`)
	// endsLate are faults whose requests may end, and be counted, after the repair.
	endsLate = regexp.MustCompile(`(^|[ ,;])(hang|delay|slow|capacity)`)
)

// unmet reports whether it is known that no request of the load, and no report, met the
// fault.
func (r *Run) unmet() (requests, reports bool) {
	m := r.Met
	if m.Crashes > 0 || uncounted.MatchString(r.seen.Rules) {
		return false, false
	}
	if endsLate.MatchString(r.seen.Rules) {
		m = metBy(r.counters, r.seen, r.methods, r.seen.End)
	}
	return m.Requests == 0, m.Reports == 0
}

// dropUneven leaves out the seeds that not every arm has: the comparison was
// interrupted.
func (f *Fault) dropUneven() {
	all := func(r Run) bool {
		return !slices.ContainsFunc(f.Arms, func(a Arm) bool { return !slices.ContainsFunc(a.Runs, r.same) })
	}
	var dropped []uint64
	for i := range f.Arms {
		var kept []Run
		for _, r := range f.Arms[i].Runs {
			if all(r) {
				kept = append(kept, r)
			} else {
				dropped = append(dropped, r.Seed)
			}
		}
		slices.SortFunc(kept, func(a, b Run) int {
			return cmp.Or(cmp.Compare(a.Seed, b.Seed), cmp.Compare(a.Repeat, b.Repeat))
		})
		f.Arms[i].Runs = kept // what is in all arms stays there
	}
	if slices.Sort(dropped); len(dropped) > 0 {
		f.warn(warning{what: seedsLeft, run: f.Name, note: fmt.Sprintf("seed %s left out: not every arm has a run with it", numbers(slices.Compact(dropped)))})
	}
}

// seeds are those of the fault's runs, each once.
func (f *Fault) seeds() (seeds []uint64) {
	for _, r := range f.Arms[0].Runs {
		seeds = addOnce(seeds, r.Seed)
	}
	return seeds
}

// same reports whether two runs have the same seed and repeat.
func (r Run) same(other Run) bool { return r.Seed == other.Seed && r.Repeat == other.Repeat }

// note adds what the figures of the fault do not support.
func (f *Fault) note() {
	reports := f.reportsCanMeet()
	for _, a := range f.Arms {
		f.warnIdle(a)
		for _, r := range a.Runs {
			for _, w := range r.warnings(reports) {
				f.warn(w)
			}
		}
	}
	if len(f.Arms) > 0 && len(f.seeds()) == 1 && f.partial() {
		f.warn(warning{what: bySeed, run: f.Name, note: "one seed: in which replica's way a request comes is chance, so shares, latencies and gaps differ from seed to seed; --seeds 3 shows how much"})
	}
}

// warnings are all that voids figures of the run. With reports, the fault is in the way of
// vehicles' reports, too.
func (r *Run) warnings(reports bool) (all []warning) {
	add := func(voids func(Column) bool, what, note string) {
		note = fmt.Sprintf("%s, seed %d: %s", r.seen.Arm, r.Seed, note)
		all = append(all, warning{what: what, note: note, arm: r.seen.Arm, run: r.path(), voids: voids})
	}
	if l := r.Lateness; l.TooLate {
		add(Column.isTimed, loadLate, fmt.Sprintf("the load itself was late (p99 %s s, at most %s s, measured %d times): its latencies are not the services'", seconds3.number(l.P99), seconds3.number(l.Max), l.Measurements))
	}
	if n, mostly := r.neverWorked(); n > 0 {
		const check = "check load.streams and the manifests"
		add(Column.isAny, fmt.Sprintf("no request before the fault was good, most %s (%s)", mostly, check),
			fmt.Sprintf("%d of %[1]d requests before the fault were not good, most %s: %s", n, mostly, check))
	}
	unmet, reportless := r.unmet()
	may, known := r.isLoadNear()
	if r.seen.Rules != "" && !known {
		add(Column.isOfAttempts, unknownWay, fmt.Sprintf("which requests lead to %s is unknown, since their callers' counters were not read before the fault: its attempts are unknown; set phases.healthy to 2s or more", strings.Join(r.seen.Services(), ", ")))
	}
	switch {
	case r.seen.Rules == "": // nothing that a request could meet
	case !may:
		add(Column.isOfRequests, notMet, fmt.Sprintf("no request of the load leads to %s: its figures of requests say nothing about the fault", strings.Join(r.seen.Services(), ", ")))
	case unmet:
		voids := Column.isNotOfReports
		if reportless {
			voids = Column.isAny
		}
		add(voids, notMet, "no request of the load met the fault, by chance: its figures say nothing about it")
	case reportless && reports:
		add(Column.isOfReports, noReport, "no report of a vehicle met the fault, by chance: its positions and gap say nothing about it")
	}
	return all
}

// What notes void.
func (c Column) isAny() bool          { return true }
func (c Column) isTimed() bool        { return c.timed }
func (c Column) isOfReports() bool    { return c.reports }
func (c Column) isNotOfReports() bool { return !c.reports }
func (c Column) isOfAttempts() bool {
	return slices.Contains([]string{"attempts", "proxyAttempts", "received", "wasted", "wastedAfter"}, c.Name)
}

func (c Column) isOfRequests() bool {
	return !c.reports && c.Unit.Base != cores.Base && c.Unit.Base != megabytes.Base
}

// neverWorked returns how many requests there were before the fault, and what became
// of most of them, if none was good; 0 if some were good, or there were none.
func (r *Run) neverWorked() (n int, mostly string) {
	before := record.Between(r.seen.Requests, 0, r.seen.FaultAt)
	if slices.ContainsFunc(before, record.Request.Good) {
		return 0, ""
	}
	outcomes := map[string]int{}
	for _, request := range before {
		outcome := "answered " + strconv.Itoa(request.Status)
		switch {
		case request.Status == 0:
			outcome = "had no answer"
		case request.Status/100 == 2 && request.Failed():
			outcome = "had an answer that broke off"
		case request.Degraded != "":
			outcome = "had a degraded answer"
		}
		if outcomes[outcome]++; outcomes[outcome] > outcomes[mostly] {
			mostly = outcome
		}
	}
	return len(before), mostly
}

// noteFrom adds what a load that a service sends does not measure.
func (g *Group) noteFrom() {
	if g.experiment == nil || g.experiment.Load.From == "" {
		return
	}
	note := fmt.Sprintf("the load is sent in the place of %s: its proxy, if any, is measured, its program's retries, breakers and fallbacks are not", g.experiment.Load.From)
	for i := range g.Faults {
		g.Faults[i].warn(warning{what: note, note: note})
	}
}

// isLoadNear reports whether requests of the load may lead to a service that had the
// fault, and whether this is known, as it is of records without an entry.
func (r *Run) isLoadNear() (may, known bool) {
	known = true
	for _, service := range r.seen.Services() {
		one, sure := r.seen.LeadsTo(r.counters, service, r.methods)
		if one && sure {
			return true, true
		}
		may, known = may || one, known && (sure || r.seen.Entry == "")
	}
	return may, known
}

// reportsCanMeet reports whether vehicles' reports reached the fault in some
// run: not every service takes them.
func (f *Fault) reportsCanMeet() bool {
	return slices.ContainsFunc(f.Arms, func(a Arm) bool {
		return slices.ContainsFunc(a.Runs, func(r Run) bool { return r.Met.Reports > 0 })
	})
}

// partial reports whether some replicas had no fault.
func (f *Fault) partial() bool {
	return !f.Healthy() && len(f.Arms[0].Runs[0].seen.Pods) < f.Replicas
}

func numbers(seeds []uint64) string {
	var all []string
	for _, seed := range seeds {
		all = append(all, strconv.FormatUint(seed, 10))
	}
	return strings.Join(all, ", ")
}
