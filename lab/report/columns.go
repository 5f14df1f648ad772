package report

import (
	"cmp"
	"slices"
	"strings"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/record"
	"fleetman.example/lab/stats"
)

// Column is one figure of an arm with a fault. Columns is the only list of them:
// text, Markdown, JSON, CSV, goals and the documentation follow it.
type Column struct {
	Name    string `json:"name"` // in JSON, CSV and goals
	Head    string `json:"head"`
	Unit    Unit   `json:"unit"`
	Meaning string `json:"meaning"` // how to read it
	// Better is 1 when more is better, -1 when less is, 0 when neither is.
	Better int `json:"better,omitempty"`

	in     []table // that show it
	added  bool    // its difference to the baseline is a column of its own
	hidden bool    // only that difference is shown

	// One of these computes it: a share of requests or attempts, pooled over all
	// runs; a quantile of all runs' latencies; or a value of each run, averaged.
	share    func(*Run) stats.Count
	quantile float64
	value    func(*Run) *float64
	scale    func(*Run) float64   // what a share is multiplied by
	parts    func(*Run) []float64 // a run's value over parts of its time
	never    string               // of a run without a value
	can      func(*Run) bool      // whether a run is long enough to have one
	worst    bool                 // the highest of all runs instead of the mean

	timed   bool // depends on latencies
	reports bool // is of the vehicles' reports, not of the load
}

// table is a table that shows columns.
type table int

const (
	outcomes table = iota // of a fault
	costs                 // of no fault
)

// ofRequests is the share of some requests for which is holds.
func ofRequests(some func(*Run) []record.Request, is func(record.Request) bool) func(*Run) stats.Count {
	return func(r *Run) stats.Count { return count(some(r), is) }
}

// inTime is the share of some requests that were good, and not slow.
func inTime(some func(*Run) []record.Request) func(*Run) stats.Count {
	return func(r *Run) stats.Count { return count(some(r), r.inTime) }
}

// Parts of a run.
func during(r *Run) []record.Request    { return r.during }
func contained(r *Run) []record.Request { return r.contained }
func after(r *Run) []record.Request     { return r.after }

func isDegraded(r record.Request) bool { return !r.Good() && !r.Failed() }
func isLastKnown(r record.Request) bool {
	_, ok := r.LastKnown()
	return ok && !r.Failed()
}

// use is a figure of what some processes used; nil when there are none.
func use(pick func(*Cost) Use, of func(Use) float64) func(*Run) *float64 {
	return func(r *Run) *float64 {
		if u := pick(&r.Cost); u.Processes > 0 {
			return new(of(u))
		}
		return nil
	}
}

// where is a figure that only the runs have for which has holds.
func where(has func(*Run) bool, of func(*Run) *float64) func(*Run) *float64 {
	return func(r *Run) *float64 {
		if !has(r) {
			return nil
		}
		return of(r)
	}
}

// idled reports whether some time of the run was without load.
func idled(r *Run) bool { return r.Cost.IdleSeconds > 0 }

// alone reports whether the watched hop's upstream has no other caller that calls
// alike.
func alone(r *Run) bool { return !r.watchedHop.Shared }

func services(c *Cost) Use { return c.Services }
func proxies(c *Cost) Use  { return c.Proxies }
func control(c *Cost) Use  { return c.ControlPlane }
func both(c *Cost) Use {
	return Use{c.Services.Processes + c.Proxies.Processes, c.Services.Cores + c.Proxies.Cores, c.Services.Idle + c.Proxies.Idle, c.Services.Per1000 + c.Proxies.Per1000, c.Services.Memory + c.Proxies.Memory}
}
func usedCores(u Use) float64  { return u.Cores }
func idleCores(u Use) float64  { return u.Idle }
func per1000(u Use) float64    { return u.Per1000 }
func usedMemory(u Use) float64 { return u.Memory }

// offered and offeredAfter are the load's requests per second.
func offered(r *Run) float64 {
	return float64(len(r.during)) / seconds(r.seen.RepairAt-r.seen.FaultAt)
}

func offeredAfter(r *Run) float64 {
	return float64(len(r.after)) / seconds(cmp.Or(r.seen.LoadUntil, r.seen.End)-r.seen.RepairAt)
}

// perRequest is a count of the watched hop for one call that had to be made.
func perRequest(of func(record.HopCounts) float64) func(*Run) *float64 {
	return func(r *Run) *float64 {
		if !r.hasHop || r.watched.Requests == 0 {
			return nil
		}
		return new(of(r.watched) / r.watched.Requests)
	}
}

func attempts(h record.HopCounts) float64      { return h.Attempts }
func proxyAttempts(h record.HopCounts) float64 { return h.ProxyAttempts }
func received(h record.HopCounts) float64      { return h.Received }

// Columns are all, in the order in which tables have them.
var Columns = []Column{
	{
		Name: "good", Head: "good", Unit: percent, Better: 1, in: []table{outcomes, costs}, share: ofRequests(during, record.Request.Good),
		Meaning: "requests answered 200 to 299, without `X-Fallback`",
	},
	{
		Name: "degraded", Head: "degraded", Unit: percent, in: []table{outcomes}, share: ofRequests(during, isDegraded),
		Meaning: "requests answered 200 to 299 with `X-Fallback`",
	},
	{
		Name: "lastKnown", Head: "last known", Unit: percent, in: []table{outcomes}, share: ofRequests(during, isLastKnown),
		Meaning: "requests that got the last known answer; the other degraded answers are placeholders, or lack a part",
	},
	{
		Name: "oldest", Head: "oldest", Unit: wholeSeconds, Better: -1, in: []table{outcomes}, value: oldest, worst: true,
		Meaning: "the highest age of a last known answer, of all runs",
	},
	{
		Name: "failed", Head: "failed", Unit: percent, Better: -1, in: []table{outcomes}, share: ofRequests(during, record.Request.Failed),
		Meaning: "requests with any other answer, or none in the time that their caller waits",
	},
	{
		Name: "p50", Head: "p50", Unit: duration, Better: -1, in: []table{outcomes, costs}, added: true, quantile: .5, timed: true,
		Meaning: "the latency that half of all requests do not exceed, from the intended start; nearest rank, with its distribution-free interval",
	},
	{Name: "p90", Head: "p90", Unit: duration, Better: -1, quantile: .9, timed: true, Meaning: "the same of 90 %; below 36 requests, how many are above the value instead"},
	{
		Name: "p99", Head: "p99", Unit: duration, Better: -1, in: []table{outcomes, costs}, added: true, quantile: .99, timed: true,
		Meaning: "the same of 99 %; below 368 requests, how many are above the value instead",
	},
	{
		Name: "p999", Head: "p99.9", Unit: duration, Better: -1, in: []table{outcomes}, quantile: .999, timed: true,
		Meaning: "the same of 99.9 %; below 3 688 requests, how many are above the value instead",
	},
	{
		Name: "goodput", Head: "goodput/s", Unit: perSecond, Better: 1, in: []table{outcomes}, share: inTime(during), scale: offered, timed: true,
		Meaning: "answers per second that were good and within the SLO's latency",
	},
	{
		Name: "wasted", Head: "wasted", Unit: percent, Better: -1, in: []table{outcomes}, share: func(r *Run) stats.Count { return r.wasted(r.watched, r.during) }, timed: true,
		Meaning: "attempts that the upstream worked on though no request got a good answer in time by them, of all that it received on the watched hop",
	},
	{
		Name: "positions", Head: "positions/s", Unit: perSecond, Better: 1, in: []table{outcomes}, value: func(r *Run) *float64 { return new(r.positions) }, reports: true,
		Meaning: "reports per second that reached the tracker",
	},
	{
		Name: "gap", Head: "longest gap", Unit: seconds3, Better: -1, in: []table{outcomes}, value: func(r *Run) *float64 { return new(r.gap) }, reports: true,
		Meaning: "the longest time between two reports of one vehicle that reached the tracker, if any part of it lies between fault and repair. A healthy vehicle reports every 0.5 to 1.5 s, so up to 1.5 s is its own",
	},
	{
		Name: "contained", Head: "contained", Unit: seconds3, Better: -1, in: []table{outcomes}, value: func(r *Run) *float64 { return r.Contained }, never: "never", timed: true,
		can:     func(r *Run) bool { return r.seen.RepairAt-r.seen.FaultAt >= record.Offset(Window) },
		Meaning: "from the fault to the intended start of the first request from which on every window of 3 s up to the repair has a share of SLO violations at most 5 points above that before the fault: at 10 requests per second, one of 30. A request that failed, or took longer than the SLO's latency, violates the SLO; a degraded answer in time does not. never: the last window still had more",
	},
	{Name: "goodThen", Head: "good then", Unit: percent, Better: 1, in: []table{outcomes}, share: ofRequests(contained, record.Request.Good), timed: true, Meaning: "good, from containment to repair"},
	{Name: "degradedThen", Head: "degraded then", Unit: percent, in: []table{outcomes}, share: ofRequests(contained, isDegraded), timed: true, Meaning: "degraded, from containment to repair"},
	{
		Name: "recovered", Head: "recovered", Unit: seconds3, Better: -1, in: []table{outcomes}, value: func(r *Run) *float64 { return r.Recovered }, never: "never", timed: true,
		can:     func(r *Run) bool { return len(r.after) > 0 && r.seen.End-r.seen.RepairAt >= record.Offset(Window) },
		Meaning: "as contained, from the repair to the end of the run, with degraded answers as violations. never: not by then; -: the run ends within 3 s after the repair",
	},
	{
		Name: "goodputAfter", Head: "goodput/s after", Unit: perSecond, Better: 1, in: []table{outcomes}, share: inTime(after), scale: offeredAfter, timed: true,
		Meaning: "goodput, from the repair to the end of the load",
	},
	{
		Name: "wastedAfter", Head: "wasted after", Unit: percent, Better: -1, in: []table{outcomes}, share: func(r *Run) stats.Count { return r.wasted(r.watchedAfter, r.after) }, timed: true,
		Meaning: "wasted, from the repair to the end of the load",
	},
	{
		Name: "attempts", Head: "attempts", Unit: ratio, in: []table{outcomes}, value: perRequest(attempts), parts: hopParts(attempts),
		Meaning: "attempts that the caller made on the watched hop, for one call that it had to make, by its own count. The watched hop is the one of the load that leads to the fault's service; each table names it",
	},
	{
		Name: "proxyAttempts", Head: "its proxy's", Unit: ratio, in: []table{outcomes}, value: where((*Run).proxied, perRequest(proxyAttempts)), parts: hopParts(proxyAttempts),
		Meaning: "the same by the statistics of the caller's proxy. Envoy counts an attempt when it begins, a service when it has ended",
	},
	{
		Name: "received", Head: "received", Unit: ratio, in: []table{outcomes}, value: where(alone, perRequest(received)), parts: hopParts(received),
		Meaning: "the same by the upstream's count, so that a lost or a doubled call shows; -: other callers call it alike",
	},
	{
		Name: "proxiesCPU", Head: "proxies' CPU", Unit: percentCore, Better: -1, in: []table{outcomes}, value: use(proxies, usedCores),
		Meaning: "of all proxies together, from fault to repair, in percent of one core. istiod is not in it",
	},
	{
		Name: "cpuServices", Head: "CPU: services", Unit: cores, Better: -1, in: []table{costs}, value: where(idled, use(services, per1000)),
		Meaning: "user and system time of the services' processes per second from fault to repair, less the same without load, for 1 000 requests per second. What the vehicles' reports, probes and idle proxies use is subtracted, in every arm alike",
	},
	{
		Name: "cpuProxies", Head: "CPU: proxies", Unit: cores, Better: -1, in: []table{costs}, value: where(idled, use(proxies, per1000)),
		Meaning: "the same of the Envoys beside the pods, and of the ingress gateway's, which is started with every mesh",
	},
	{
		Name: "cpu", Head: "CPU", Unit: cores, Better: -1, in: []table{costs}, added: true, hidden: true, value: where(idled, use(both, per1000)),
		Meaning: "the same of services and proxies together",
	},
	{
		Name: "idleServices", Head: "idle: services", Unit: percentCore, Better: -1, in: []table{costs}, value: where(idled, use(services, idleCores)),
		Meaning: "what was subtracted, in percent of one core",
	},
	{Name: "idleProxies", Head: "idle: proxies", Unit: percentCore, Better: -1, in: []table{costs}, value: where(idled, use(proxies, idleCores)), Meaning: "the same of the proxies"},
	{
		Name: "idleControl", Head: "idle: control plane", Unit: percentCore, Better: -1, in: []table{costs}, value: where(idled, use(control, idleCores)),
		Meaning: "the same of istiod, which does nothing for a request",
	},
	{
		Name: "memoryServices", Head: "memory: services", Unit: megabytes, Better: -1, in: []table{costs}, value: use(services, usedMemory),
		Meaning: "resident memory at the end of the measured time, whatever the rate. Shared pages (Envoy's program) count once for each process",
	},
	{Name: "memoryProxies", Head: "memory: proxies", Unit: megabytes, Better: -1, in: []table{outcomes, costs}, value: use(proxies, usedMemory), Meaning: "the same of the proxies"},
	{
		Name: "memory", Head: "memory", Unit: megabytes, Better: -1, in: []table{costs}, added: true, hidden: true, value: use(both, usedMemory),
		Meaning: "the same of services and proxies together",
	},
	{Name: "memoryControl", Head: "memory: control plane", Unit: megabytes, Better: -1, in: []table{costs}, value: use(control, usedMemory), Meaning: "the same of istiod"},
}

// Figures are all columns, as goals have them.
func Figures() (all []experiment.Figure) {
	for _, c := range Columns {
		all = append(all, experiment.Figure{Name: c.Name, Unit: c.Unit.Base, Max: c.worst})
	}
	return all
}

// figureNames lists the figures in an error.
func figureNames() string {
	var names []string
	for _, c := range Columns {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}

// column returns the one with a name.
func column(name string) (Column, bool) {
	i := slices.IndexFunc(Columns, func(c Column) bool { return c.Name == name })
	if i < 0 {
		return Column{}, false
	}
	return Columns[i], true
}
