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

	"sigs.k8s.io/yaml"
)

// pageAddress is the address of the page, as up and pods print it.
var pageAddress = regexp.MustCompile(`(?m)^fleetman-webapp: (http://\S+)$`)

// get returns the answer of an address, which may not be open yet: kube-proxy syncs once a second.
func get(t *testing.T, url string) (status int, body string, took time.Duration) {
	t.Helper()
	client := http.Client{Timeout: 20 * time.Second}
	for deadline := time.Now().Add(20 * time.Second); ; {
		began := time.Now()
		response, err := client.Get(url)
		if err == nil {
			text, _ := io.ReadAll(response.Body)
			response.Body.Close()
			return response.StatusCode, string(text), time.Since(began)
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// TestScenarios: the promises hold on the cluster, and their controls break them.
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
			code, stdout, _ := c.fleetman(t, append([]string{"check", "-o", "yaml", "--run", test.run}, test.scenarios...)...)
			var summary struct {
				OK      bool
				Results []struct{ Control *struct{ Broken bool } }
			}
			if err := yaml.Unmarshal([]byte(stdout), &summary); err != nil {
				t.Fatal(err)
			}
			if code != 0 || !summary.OK || len(summary.Results) != test.promises {
				t.Errorf("check: exit code %d, %d promises, want %d", code, len(summary.Results), test.promises)
			}
			for i, result := range summary.Results {
				if result.Control == nil || !result.Control.Broken {
					t.Errorf("promise %d: no control has broken it", i)
				}
			}
			if left := c.left(t); left != "" {
				t.Errorf("check leaves %s", left)
			}
		})
	}
}

// TestCommands runs every command for a running fleet, without a mesh and then with one.
func TestCommands(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "commands", "istio-system")
	code, stdout, _ := c.fleetman(t, "up", freePorts(t, "plain"))
	address := pageAddress.FindStringSubmatch(stdout)
	if code != 0 || address == nil {
		t.Fatalf("up: exit code %d, no address of the page", code)
	}
	driver := address[1] + "/api/vehicles/driver/City%20Truck"
	if status, body, _ := get(t, driver); status != 200 || !strings.Contains(body, `"name":"Pam Parry"`) {
		t.Errorf("the page: %d %s", status, body)
	}
	if code, stdout, _ := c.fleetman(t, "fault", "staff-service", "delay=1s,path=/driver/"); code != 0 || !strings.Contains(stdout, "delay=1s,path=/driver/") {
		t.Errorf("fault: exit code %d", code)
	}
	if status, _, took := get(t, driver); status != 200 || took < time.Second {
		t.Errorf("with a delay of 1 s: %d after %v", status, took)
	}
	if code, stdout, _ := c.fleetman(t, "fault", "--clear"); code != 0 || strings.Contains(stdout, "delay") {
		t.Errorf("fault --clear: exit code %d", code)
	}
	if code, stdout, _ := c.fleetman(t, "fault", "verify"); code != 0 || strings.Count(stdout, " ok\n") != 10 {
		t.Errorf("fault verify: exit code %d", code)
	}
	if code, stdout, _ := c.fleetman(t, "logs", "--prefix", "--tail", "1", "webapp"); code != 0 || !strings.HasPrefix(stdout, "webapp-") || !strings.Contains(stdout, " | {") {
		t.Errorf("logs: exit code %d", code)
	}
	before := podOf(t, c, "api-gateway")
	if code, stdout, _ := c.fleetman(t, "kill", "--signal", "KILL", "api-gateway"); code != 0 || !strings.Contains(stdout, before+": killed at once") {
		t.Errorf("kill: exit code %d", code)
	}
	if after := podOf(t, c, "api-gateway"); after == before {
		t.Errorf("the pod %s is not replaced", before)
	}
	code, stdout, _ = c.fleetman(t, "up", freePorts(t, "circuit-breaking")) // in place
	if code != 0 || !strings.Contains(stdout, "istio-ingressgateway: http://") || !strings.Contains(stdout, "staff-service-bad-") {
		t.Fatalf("up of another scenario: exit code %d", code)
	}
	if code, stdout, _ := c.fleetman(t, "mesh", "status"); code != 0 || !strings.Contains(stdout, "istiod: ready") {
		t.Errorf("mesh status: exit code %d", code)
	}
	apply(t, c)
	if code, _, _ := c.fleetman(t, "down"); code != 0 {
		t.Errorf("down: exit code %d", code)
	}
	if left := c.left(t); left != "" {
		t.Errorf("down leaves %s", left)
	}
	if code, _, stderr := c.fleetman(t, "pods"); code != 1 || !strings.Contains(stderr, "no fleet in namespace "+c.namespace) {
		t.Errorf("pods without a fleet: exit code %d", code)
	}
}

// podOf returns the name of the pod of a Deployment.
func podOf(t *testing.T, c *cluster, deployment string) string {
	t.Helper()
	_, stdout, _ := c.fleetman(t, "pods", "-o", "json")
	var list struct {
		Pods []struct{ Name, Deployment, State string }
	}
	if err := json.Unmarshal([]byte(stdout), &list); err != nil {
		t.Fatal(err)
	}
	for _, pod := range list.Pods {
		if pod.Deployment == deployment && pod.State != "terminating" {
			return pod.Name
		}
	}
	t.Fatalf("no pod of %s", deployment)
	return ""
}

// apply applies changed rules and pods, mistakes, and objects outside of the namespace.
func apply(t *testing.T, c *cluster) {
	t.Helper()
	scenario := freePorts(t, "circuit-breaking")
	dir := filepath.Join(scenario, "..", "..")
	rules := filepath.Join(dir, "scenarios", "circuit-breaking", "istio.yaml")
	change(t, rules, "consecutive5xxErrors: 2", "consecutive5xxErrors: 7")
	if code, stdout, _ := c.fleetman(t, "apply", scenario); code != 0 || !strings.HasPrefix(stdout, "DestinationRule "+c.namespace+"/fleetman-staff-service changed; in every proxy after ") {
		t.Errorf("apply: exit code %d", code)
	}
	change(t, rules, "consecutive5xxErrors", "consecutiveErors")
	if code, _, stderr := c.fleetman(t, "apply", scenario); code != 1 || !strings.Contains(stderr, "consecutiveErors: field not declared in schema") {
		t.Errorf("apply of a mistake: exit code %d", code)
	}
	change(t, rules, "consecutiveErors", "consecutive5xxErrors")
	webapp := podOf(t, c, "webapp")
	base := filepath.Join(dir, "base", "webapp.yaml")
	change(t, base, "image: fleetman/webapp:6", "image: fleetman/webapp:none")
	if code, _, stderr := c.fleetman(t, "apply", scenario); code != 1 || !strings.Contains(stderr, "image missing: ") || !strings.Contains(stderr, "; the old objects are restored") {
		t.Errorf("apply of an image that is missing: exit code %d", code)
	}
	if still := podOf(t, c, "webapp"); still != webapp {
		t.Errorf("the pod %s was replaced by %s", webapp, still)
	}
	change(t, base, "image: fleetman/webapp:none", "image: fleetman/webapp:6")
	change(t, base, "env:\n", "env:\n            - {name: LOG_LEVEL, value: debug}\n")
	if code, stdout, _ := c.fleetman(t, "apply", scenario); code != 0 || !strings.Contains(stdout, "Deployment "+c.namespace+"/webapp changed; 1 pods started, 1 ended; in every proxy after ") {
		t.Errorf("apply of a changed pod: exit code %d", code)
	}
	outside := "DestinationRule istio-system/fleetman-everywhere"
	everywhere := freePorts(t, "circuit-breaking-everywhere")
	ofAll := filepath.Join(everywhere, "..", "circuit-breaking-everywhere", "istio.yaml")
	change(t, ofAll, `host: "*.local"`, `host: "*.default.svc.cluster.local"`) // not of other tests' fleets
	if code, _, stderr := c.fleetman(t, "apply", everywhere); code != 2 || !strings.Contains(stderr, outside) || !strings.Contains(stderr, "--yes: missing") {
		t.Errorf("apply of an object in istio-system: exit code %d", code)
	}
	if left := c.left(t); strings.Contains(left, outside) {
		t.Errorf("%s is applied without --yes", outside)
	}
	if code, stdout, stderr := c.fleetman(t, "apply", "--yes", everywhere); code != 0 || !strings.Contains(stderr, outside) || !strings.Contains(stdout, outside+" created") {
		t.Errorf("apply --yes: exit code %d", code)
	}
}

// copyManifests returns the directory of a copy of k8s.
func copyManifests(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../k8s")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// change replaces a text of a file.
func change(t *testing.T, path, from, to string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), from) {
		t.Fatalf("%s has no %s: %v", path, from, err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestKilled: down removes what an up has left that was killed.
func TestKilled(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "killed", "outside")
	cmd := c.command([]string{"up", freePorts(t, "egress"), "--context", c.context, "--namespace", c.namespace})
	progress, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(progress, make([]byte, len("applying"))); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond) // somewhere among the objects: TestInterrupted of package cluster has every place
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code, _, _ := c.fleetman(t, "down"); code != 0 {
		t.Errorf("down: exit code %d", code)
	}
	if left := c.left(t); left != "" {
		t.Errorf("down leaves %s", left)
	}
}
