package compare

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/report"
	"fleetman.example/lab/trial"
)

// The published experiments whose outcome is known from elsewhere, each in a short
// form: the same files, with shorter phases.

// TestKnownNumbers: n attempts against failures of share p succeed in 1 - p^n, in
// the library and in the mesh. The same goals are missed where there are fewer
// attempts than the formula has.
func TestKnownNumbers(t *testing.T) {
	long(t, "fifteen seconds of load")
	for name, test := range map[string]struct {
		experiment string
		axis       experiment.Value // of the first axis: the number of attempts, or of retries
		change     func(*experiment.Experiment)
		want       int
	}{
		"library": {"retries", "3", nil, report.ExitMet},
		"library, an attempt too few": {"retries", "3", func(e *experiment.Experiment) {
			e.Arms[0].Env["api-gateway"] = map[string]string{"RETRY_ATTEMPTS": "2"}
		}, report.ExitMissed},
		"mesh": {"retries-mesh", "2", nil, report.ExitMet},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trial.Run(t, func(t *trial.T) {
				o := short(t, test.experiment, "", "", phases(time.Second, 15*time.Second, time.Second))
				e := o.Experiment
				e.Sweep[0].Values, e.Sweep[1].Values, e.Load.Rate = []experiment.Value{test.axis}, []experiment.Value{"0.5"}, 40 // 600 requests
				if test.change != nil {
					test.change(e)
				}
				if test.experiment == "retries-mesh" {
					o = withMesh(t, o)
				}
				run(t, o)
				computed := reportOf(t, o.Out)
				assert.Equal(t, test.want, computed.ExitCode(), "exit code: %+v", computed.Goals)
			})
		})
	}
}

// TestMetastable: which fleet recovers from a trigger that has ended, and which
// never does: in the last five seconds nearly all answers are good, or nearly none.
func TestMetastable(t *testing.T) {
	long(t, "twenty seconds of load")
	const recovers, never = "recovers", "never recovers"
	for _, test := range []struct {
		arm, fault, want string
		after            time.Duration
	}{
		{"naive", "stop-500ms", recovers, 8 * time.Second},
		{"naive", "stop-3s", never, 12 * time.Second},
		{"less-load", "stop-3s", recovers, 18 * time.Second}, // its queue drains slowly
		{"budget", "stop-3s", recovers, 10 * time.Second},
		{"breaker", "stop-3s", recovers, 10 * time.Second},
		{"mesh", "stop-3s", recovers, 10 * time.Second},
	} {
		t.Run(test.arm+", "+test.fault, func(t *testing.T) {
			t.Parallel()
			trial.Run(t, func(t *trial.T) {
				o := short(t, "metastable", test.arm, test.fault, phases(3*time.Second, 4*time.Second, test.after))
				if ofMesh.MatchString(test.arm) {
					o = withMesh(t, o)
				}
				o.Experiment.Goals = nil
				run(t, o)
				curve := reported(t, o.Out).Arms[0].Runs[0].Curve
				good, all := 0, 0
				for _, second := range curve[len(curve)-5:] {
					good, all = good+second.Good, all+second.Requests
				}
				got := "neither recovers nor stays overloaded"
				switch share := float64(good) / float64(all); {
				case share > .8:
					got = recovers
				case share < .2:
					got = never
				}
				assert.Equal(t, test.want, got, "%d of the last %d answers are good", good, all)
			})
		})
	}
}

// TestHalfOpen: a breaker risks one request for each return of a bad replica, an
// ejection a whole burst, and without both half of the requests fail.
func TestHalfOpen(t *testing.T) {
	long(t, "fifteen seconds of load")
	trial.Run(t, func(t *trial.T) {
		failed := map[string]float64{}
		o := withMesh(t, short(t, "half-open", "before,breaker,ejection", "one-bad", phases(8*time.Second, 6*time.Second, 0)))
		o.Experiment.Goals = nil
		run(t, o)
		for _, arm := range reported(t, o.Out).Arms {
			failed[arm.Name] = arm.Value("failed") * float64(arm.Runs[0].Requests)
		}
		if failed["before"] < 60 || failed["breaker"] > 2 || failed["ejection"] < 5 || failed["ejection"] > 60 {
			t.Errorf("%v of 240 failed, want about half before, one with a breaker at most, and one or two times seven with ejection", failed)
		}
	})
}

// TestEjectionLimit: one of two replicas may be ejected at 50 %, and one of one may
// not.
func TestEjectionLimit(t *testing.T) {
	long(t, "twenty seconds of load")
	trial.Run(t, func(t *trial.T) {
		o := withMesh(t, short(t, "ejection-limit", "", "", phases(time.Second, 10*time.Second, 0)))
		o.Experiment.Sweep[0].Values, o.Experiment.Sweep[1].Values = []experiment.Value{"1", "2"}, []experiment.Value{"50"}
		run(t, o)
		computed := reportOf(t, o.Out)
		assert.Equal(t, report.ExitMet, computed.ExitCode(), "exit code: %+v", computed.Goals)
		var good []string
		for _, v := range computed.Goals {
			good = append(good, fmt.Sprintf("%s %.0f", v.Arm, *v.Value))
		}
		assert.ElementsMatch(t, []string{"mesh:replicas=1,percent=50 0", "mesh:replicas=2,percent=50 1"}, good, "share of good answers")
	})
}
