package clustertest

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// pageAddress is the address of the page, as up and pods print it.
var pageAddress = regexp.MustCompile(`(?m)^fleetman-webapp: (http://\S+)$`)

// get returns the answer of an address. For a while after pods are ready it may not be open yet, and services may not
// reach each other: kube-proxy syncs once a second.
func get(t *testing.T, url string) (status int, body string, took time.Duration) {
	t.Helper()
	client := http.Client{Timeout: 20 * time.Second}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		began := time.Now()
		response, err := client.Get(url)
		if err != nil {
			require.Less(t, time.Now(), deadline, "%v", err)
			continue
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode < 500 || time.Now().After(deadline) {
			return response.StatusCode, string(text), time.Since(began)
		}
	}
}

// TestScenarios: the promises hold on the cluster, and their controls break them. What fails is checked again, as make
// check does: other work delays responses, a defect stays.
func TestScenarios(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		promises  int
		scenarios []string
		run       string
	}{
		"page":    {1, []string{"plain"}, "the page shows"},
		"ingress": {4, []string{"circuit-breaking", "canary-weighted", "mtls-strict", "authorization"}, ""}, // one gateway: one after the other
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, "scenarios-"+name)
			code, stdout, _ := c.fleetman(t, append([]string{"check", "--again", "2", "-o", "yaml", "--run", test.run}, test.scenarios...)...)
			var summary struct {
				OK      bool
				Results []struct{ Control *struct{ Broken bool } }
			}
			require.NoError(t, yaml.Unmarshal([]byte(stdout), &summary))
			assert.True(t, code == 0 && summary.OK, "check: exit code %d", code)
			assert.Len(t, summary.Results, test.promises, "promises")
			for i, result := range summary.Results {
				assert.True(t, result.Control != nil && result.Control.Broken, "promise %d: no control has broken it", i)
			}
			c.wantNothing(t)
		})
	}
}

// TestCommands runs every command for a running fleet, without a mesh and then with one.
func TestCommands(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "commands", "istio-system")
	address := pageAddress.FindStringSubmatch(c.want(t, 0, nil, "up", freePorts(t, "plain")))
	require.NotNil(t, address, "up: no address of the page")
	driver := address[1] + "/api/vehicles/driver/City%20Truck"
	status, body, _ := get(t, driver)
	assert.Equal(t, 200, status, "the page")
	assert.Contains(t, body, `"name":"Pam Parry"`, "the page")
	c.want(t, 0, []string{"delay=1s,path=/driver/"}, "fault", "staff-service", "delay=1s,path=/driver/")
	status, _, took := get(t, driver)
	assert.True(t, status == 200 && took >= time.Second, "with a delay of 1 s: %d after %v", status, took)
	assert.NotContains(t, c.want(t, 0, nil, "fault", "--clear"), "delay")
	assert.Equal(t, 10, strings.Count(c.want(t, 0, nil, "fault", "verify"), " ok\n"), "kinds that fault verify observes")
	assert.Regexp(t, "^webapp-", c.want(t, 0, []string{" | {"}, "logs", "--prefix", "--tail", "1", "webapp"))
	before := podOf(t, c, "api-gateway")
	c.want(t, 0, []string{before + ": killed at once"}, "kill", "--signal", "KILL", "api-gateway")
	await(t, "another pod than "+before, func() bool {
		after := podsOf(t, c, "api-gateway")
		return len(after) == 1 && after[0] != before
	})
	c.want(t, 0, []string{"1 pod started, 1 ended, within "}, "set", "webapp", "VARIANT=experimental")
	replaced := c.want(t, 0, []string{"istio-ingressgateway: http://", "staff-service-bad-"}, "up", freePorts(t, "circuit-breaking"))
	assert.NotContains(t, replaced, "experimental", "the variable that set has added")
	c.want(t, 0, []string{"istiod: ready"}, "mesh", "status")
	apply(t, c)
	c.down(t)
	c.want(t, 1, []string{"no fleet in namespace " + c.namespace}, "pods")
}

// podsOf returns the names of the pods of a Deployment that are not ending.
func podsOf(t *testing.T, c *cluster, deployment string) (names []string) {
	t.Helper()
	_, stdout, _ := c.fleetman(t, "pods", "-o", "json")
	var list struct {
		Pods []struct{ Name, Deployment, State string }
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &list))
	for _, pod := range list.Pods {
		if pod.Deployment == deployment && pod.State != "terminating" {
			names = append(names, pod.Name)
		}
	}
	return names
}

// podOf returns the name of the one pod of a Deployment.
func podOf(t *testing.T, c *cluster, deployment string) string {
	t.Helper()
	names := podsOf(t, c, deployment)
	require.Len(t, names, 1, "pods of %s", deployment)
	return names[0]
}

// apply applies changed rules and pods, mistakes, and objects outside of the namespace.
func apply(t *testing.T, c *cluster) {
	t.Helper()
	scenario := freePorts(t, "circuit-breaking")
	dir := filepath.Join(scenario, "..", "..")
	rules := filepath.Join(dir, "scenarios", "circuit-breaking", "istio.yaml")
	change(t, rules, "consecutive5xxErrors: 2", "consecutive5xxErrors: 7")
	changed := "DestinationRule " + c.namespace + "/fleetman-staff-service changed; in every proxy after "
	assert.Regexp(t, "^"+changed, c.want(t, 0, nil, "apply", scenario))
	change(t, rules, "consecutive5xxErrors", "consecutiveErors")
	c.want(t, 1, []string{"consecutiveErors: field not declared in schema"}, "apply", scenario)
	change(t, rules, "consecutiveErors", "consecutive5xxErrors")
	webapp := podOf(t, c, "webapp")
	base := filepath.Join(dir, "base", "webapp.yaml")
	change(t, base, "image: fleetman/webapp:6", "image: fleetman/webapp:none")
	c.want(t, 1, []string{"image missing: ", "; the old objects are restored"}, "apply", scenario)
	await(t, "no pod of webapp but "+webapp, func() bool { // its Deployment deletes the new one soon
		names := podsOf(t, c, "webapp")
		require.Contains(t, names, webapp, "pods")
		return len(names) == 1
	})
	change(t, base, "image: fleetman/webapp:none", "image: fleetman/webapp:6")
	change(t, base, "env:\n", "env:\n            - {name: LOG_LEVEL, value: debug}\n")
	c.want(t, 0, []string{"Deployment " + c.namespace + "/webapp changed; 1 pod started, 1 ended; in every proxy after "}, "apply", scenario)
	outside := "DestinationRule istio-system/fleetman-everywhere"
	everywhere := freePorts(t, "circuit-breaking-everywhere")
	ofAll := filepath.Join(everywhere, "..", "circuit-breaking-everywhere", "istio.yaml")
	change(t, ofAll, `host: "*.local"`, `host: "*.default.svc.cluster.local"`) // not of other tests' fleets
	c.want(t, 2, []string{outside, "--yes: missing"}, "apply", everywhere)
	assert.NotContains(t, c.left(t), outside, "without --yes")
	code, stdout, stderr := c.fleetman(t, "apply", "--yes", everywhere)
	assert.Equal(t, 0, code, "apply --yes: exit code")
	assert.Contains(t, stderr, outside)
	assert.Contains(t, stdout, outside+" created")
}

// copyManifests returns the directory of a copy of k8s.
func copyManifests(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("../../k8s")))
	return dir
}

// change replaces a text of a file.
func change(t *testing.T, path, from, to string) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), from, path)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o644))
}

// TestKilled: down removes what an up has left that was killed.
func TestKilled(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "killed", "outside")
	cmd, _ := c.start(t, freePorts(t, "egress"))
	time.Sleep(500 * time.Millisecond) // somewhere among the objects: TestInterrupted of package cluster has every place
	require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
	_ = cmd.Wait()
	c.down(t)
}
