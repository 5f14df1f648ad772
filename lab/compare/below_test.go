package compare

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"fleetman.example/lab/record"
	"fleetman.example/lab/trial"
)

// TestLibraryIsNotBelowNone: what one switch turns on is never worse than off.
// With every replica of one service bad, the load reads positions and drivers at
// the page. RESILIENCE=library on all callers (webapp, api-gateway,
// position-tracker) gives at least as many usable answers of each kind, good or
// degraded and within the SLO, as no resilience does. The fault outlasts an open
// time of a breaker.
func TestLibraryIsNotBelowNone(t *testing.T) {
	long(t, "a minute of load")
	for _, service := range []string{"staff-service", "vehicle-telemetry", "position-tracker", "api-gateway"} {
		t.Run(service, func(t *testing.T) {
			t.Parallel() // four fleets with little load
			trial.Run(t, func(t *trial.T) {
				o := options(t)
				o.Experiment, o.Bin = decode(t, strings.ReplaceAll(testdata(t, "below-none.yaml"), "SERVICE", service)), services(t)
				run(t, o)
				var runs [2]*record.Run // none, library
				for _, r := range records(t, o.Out).Runs {
					runs[slices.Index([]string{"none", "library"}, r.Arm)] = r
				}
				for _, route := range []string{record.RoutePositions, record.RouteDriver} {
					none, library := usableOf(runs[0], route), usableOf(runs[1], route)
					t.Logf("%s, usable: none %v, library %v", route, none, library)
					assert.Zero(t, library.placeholders, route+", placeholders, although every vehicle was requested before the fault")
					assert.GreaterOrEqual(t, min(none.all, library.all), 100, route+", requests")
					// Where the fault shows, chance decides, and late answers are not usable: three
					// standard deviations of a half. Elsewhere a machine that stalls makes some late.
					below, slack := none.inTime()-library.inTime(), 3*.5/math.Sqrt(float64(library.all))
					if none.good+none.late == none.all {
						below, slack = none.answered()-library.answered(), .03
					}
					assert.LessOrEqual(t, below, slack, "%s: library %v is below none %v; its failures: %s", route, library, none, strings.Join(library.failures, "; "))
				}
			})
		})
	}
}

const slo = 1500 * time.Millisecond

// usable counts the usable answers of one route.
type usable struct {
	good, degraded, late, all int
	placeholders              int      // of the degraded
	failures                  []string // the first few
}

func (u usable) inTime() float64   { return float64(u.good+u.degraded) / float64(u.all) }
func (u usable) answered() float64 { return float64(u.good+u.degraded+u.late) / float64(u.all) }

func (u usable) String() string {
	return fmt.Sprintf("%d good + %d degraded (%d late) of %d", u.good, u.degraded, u.late, u.all)
}

// usableOf counts between fault and repair.
func usableOf(run *record.Run, route string) (u usable) {
	for _, r := range run.Requests {
		if r.Route != route || r.Intended < run.FaultAt || r.Intended >= run.RepairAt {
			continue
		}
		u.all++
		_, known := r.LastKnown()
		switch {
		case r.Failed():
			if len(u.failures) < 3 {
				u.failures = append(u.failures, fmt.Sprintf("at %.1f s: %s", time.Duration(r.Intended-run.FaultAt).Seconds(), r.Error))
			}
		case r.Latency() > slo:
			u.late++
		case r.Good():
			u.good++
		default:
			u.degraded++
			if !known {
				u.placeholders++
			}
		}
	}
	return u
}
