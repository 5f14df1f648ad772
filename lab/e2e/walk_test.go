package e2e

import (
	"regexp"
	"strings"
	"testing"

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
			applied, err := m.Apply(t.Context(), manifests(t, scenarios(step.scenario)))
			if err != nil {
				t.Fatalf("%s: %v", step.scenario, err)
			}
			t.Logf("%s: %s, %.1f s", step.scenario, applied.Pods, applied.Seconds)
			if applied.Pods != step.pods {
				t.Errorf("%s: %s, want %s", step.scenario, applied.Pods, step.pods)
			}
			good(t, m)
			if step.scenario == "canary-weighted" {
				await(t, "a response of the canary", func() bool { return answers(t, page+driver, 1)["risky"] == 1 })
			}
			var deployments []string
			for _, pod := range m.Fleet().Pods() {
				if pod.State == "running" && !pod.Ready {
					t.Errorf("%s: %s is not ready: %s", step.scenario, pod.Name, pod.Why)
				}
				deployments = append(deployments, pod.Deployment)
			}
			if joined := strings.Join(deployments, " "); step.scenario == "egress" && !strings.Contains(joined, "driver-monitoring") {
				t.Errorf("%s: pods of %s", step.scenario, joined)
			}
		}

		// a pod that does not start changes nothing
		before := running()
		givenUp := regexp.MustCompile(`^pod staff-service-risky-\d+: given up because it failed 5 times[^\n]*, which ends with(\n  [^\n]*)+$`) // the number of one that ends is taken
		broken := with(t, manifests(t, scenarios("canary-weighted")), "Deployment", "staff-service-risky", `"placeholder"`, `"nonsense"`)
		if _, err := m.Apply(t.Context(), broken); err == nil || !givenUp.MatchString(err.Error()) {
			t.Errorf("a pod that does not start: %v", err)
		}
		await(t, "the end of the new pods", func() bool { return len(m.Fleet().Pods()) == len(before) })
		for deployment, pid := range running() {
			if pid != before[deployment] {
				t.Errorf("%s: process %d, before %d", deployment, pid, before[deployment])
			}
		}
		good(t, m)
		counts := stop()
		for text, n := range counts {
			if text != "safe" && text != "risky" {
				t.Errorf("%d responses: %s", n, text)
			}
		}
		if counts["safe"] < 100 {
			t.Errorf("responses %v", counts)
		}
	})
}
