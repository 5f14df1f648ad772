package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/trial"
)

// TestWalk applies one scenario after the other to a running mesh, while requests are sent to the page's node
// port. None is lost, although pods get proxies, versions are added and removed, and a namespace comes and goes.
func TestWalk(t *testing.T) {
	t.Parallel()
	trial.Run(t, func(t *trial.T) { // a machine that stands still for seconds cuts requests off when a drain ends
		m, _ := startMesh(t, manifests(t, scenarios("plain")))
		page := nodePort(m.Fleet().NodePorts(), "fleetman-webapp")
		running := func() map[string]int {
			found := map[string]int{}
			for _, pod := range m.Fleet().Pods() {
				if pod.State == "running" {
					found[pod.Deployment] = pod.PID
				}
			}
			return found
		}
		await(t, "a driver", func() bool { return total(answers(t, page+driver, 1)) == 1 && answers(t, page+driver, 1)["safe"] == 1 })
		stop := sendUntil(t, page+driver, 3)
		for _, step := range []struct{ scenario, pods string }{
			{"sidecars", "6 pods started, 6 ended"},
			{"canary-weighted", "2 pods started, 1 ended"},
			{"egress", "2 pods started, 2 ended"},
			{"plain", "6 pods started, 7 ended"},
		} {
			applied := apply(t, m, manifests(t, scenarios(step.scenario)))
			t.Logf("%s: %s, %.1f s", step.scenario, applied.Pods, applied.Seconds)
			assert.Equal(t, step.pods, applied.Pods, step.scenario)
			good(t, m)
			if step.scenario == "canary-weighted" {
				await(t, "a response of the canary", func() bool { return answers(t, page+driver, 1)["risky"] == 1 })
			}
			var deployments []string
			for _, pod := range m.Fleet().Pods() {
				assert.True(t, pod.State != "running" || pod.Ready, "%s: %s is not ready: %s", step.scenario, pod.Name, pod.Why)
				deployments = append(deployments, pod.Deployment)
			}
			if step.scenario == "egress" {
				assert.Contains(t, deployments, "driver-monitoring")
			}
		}

		// a pod that does not start changes nothing
		before := running()
		const givenUp = `^pod staff-service-risky-\d+: given up because it failed 5 times[^\n]*, which ends with(\n  [^\n]*)+$` // the number of one that ends is taken
		broken := with(t, manifests(t, scenarios("canary-weighted")), "Deployment", "staff-service-risky", `"placeholder"`, `"nonsense"`)
		_, err := m.Apply(t.Context(), broken)
		require.Error(t, err)
		assert.Regexp(t, givenUp, err.Error())
		await(t, "the end of the new pods", func() bool { return len(m.Fleet().Pods()) == len(before) })
		assert.Equal(t, before, running())
		good(t, m)
		counts := stop()
		allGood(t, counts)
		assert.GreaterOrEqual(t, counts["safe"], 100)
	})
}
