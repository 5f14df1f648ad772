package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"fleetman.example/lab/mesh/meshtest"
	"fleetman.example/lab/trial"
)

// TestProve runs the proofs of rules on their examples: what happens as written,
// and does not when repaired. They take half a minute each, so without
// FLEETMAN_PROVE=all only those run that differ in kind: an ejection, a header,
// a configuration.
func TestProve(t *testing.T) {
	meshtest.Binaries(t)
	for _, test := range []struct {
		rule  int
		short bool
		want  string // the line of results
	}{
		{1, true, `as written: 0 ejections, [3-6]\d(\.\d)? % failed; repaired: 1 ejection, 1?\d(\.\d)? % failed`},
		{2, false, `as written: 4 ejections, .* failed; repaired: 2 ejections, 0 % of the requests that need no callee failed`},
		{3, false, `as written: 2 ejections, .* failed; repaired: 2 ejections, \d(\.\d)? % failed`},
		{4, false, `as written: ejected after [45] errors by .*; repaired: ejected after [34] errors by consecutiveGatewayErrors`},
		{5, false, `as written: (2\.0|1\.\d) calls of .* for one request; repaired: (3\.0|2\.\d) calls of .* for one request`},
		{6, false, `as written: 0 logged with UT, [1-9]\d* logged with DC, .*; repaired: [1-9]\d* logged with UT, 0 logged with DC, .*`},
		{7, false, `as written: (9\.0|8\.\d) calls of .* for one request, .*; repaired: (3\.0|2\.\d) calls of .* for one request, .*`},
		{8, false, `as written: (3\.0|2\.\d) calls of .* for one request; repaired: 1\.0 calls of .* for one request`},
		{9, false, `as written: [23]\.\d calls of .* for one request; repaired: 1\.\d calls of .* for one request`},
		{10, false, `as written: [1-9]\d* ejections?, .*; repaired: 0 ejections, .*`},
		{11, false, `as written: [45]\d(\.\d)? % failed; repaired: [12]?\d(\.\d)? % failed`},
		{12, false, `as written: 0 % of the calls take a route of .*; repaired: ([6-9]\d(\.\d)?|100) % of the calls take a route of .*`},
		{13, false, `as written: slowest answer after (4|5|6|7|8|9|10)(\.\d+)?s, .*; repaired: slowest answer after [1-3](\.\d+)?s, .*`},
		{14, false, `as written: 0 ejections, [45]\d(\.\d)? % failed; repaired: 1 ejection, \d(\.\d)? % failed`},
		{15, false, `as written: one session on 2 hosts, .*; repaired: one session on 1 host, .*`},
		{16, false, `as written: a host was away for more than .*; repaired: a host was away for 1(\.\d)?s`},
		{17, false, `as written: [3-9]\d(\.\d)? % failed; repaired: [12]?\d(\.\d)? % failed`},
		{20, true, `as written: the proxy of staff-service has the same configuration with and without minRetryConcurrency; repaired: another one`},
		{21, false, `as written: breakers opened [^;]*, [3-9]\d(\.\d)? % failed or degraded; repaired: breakers opened 0 times, \d+(\.\d)? % failed or degraded`},
		{22, true, `as written: 0 % of the requests with x-my-header reached .* with it; repaired: ([6-9]\d(\.\d)?|100) % of the requests .*`},
	} {
		if !test.short && os.Getenv("FLEETMAN_PROVE") != "all" {
			continue
		}
		t.Run(fmt.Sprint(test.rule), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(root, "lab", "lint", "testdata", fmt.Sprintf("%02d", test.rule))
			file := filepath.Join(dir, "prove.yaml")
			if _, err := os.Stat(file); err != nil {
				file = filepath.Join(dir, "bad.yaml")
			}
			trial.Run(t, func(t *trial.T) {
				network := networkOf(t) + "0/24"
				cmd := exec.CommandContext(t.Context(), binary(t), "lint", "--root", root, "--state", filepath.Join(t.TempDir(), "state"),
					"--network", network, "--prove", fmt.Sprint(test.rule), file)
				var stdout, stderr bytes.Buffer
				cmd.Stdout, cmd.Stderr = &stdout, &stderr
				if err := cmd.Run(); err != nil || !regexp.MustCompile(`(?m)^`+test.want+`$`).Match(stdout.Bytes()) {
					t.Errorf("%v, want %s; stdout\n%s\nstderr\n%s", err, test.want, &stdout, &stderr)
				}
				t.Log(stdout.String())
			})
		})
	}
}
