package monitoring

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/golden"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
)

const dir = "../../k8s/dashboards"

// TestFiles compares the files of k8s/dashboards with the tables, and checks that the kustomization has them all.
func TestFiles(t *testing.T) {
	var names []string
	for _, b := range Boards() {
		want, err := b.JSON()
		require.NoError(t, err)
		name := b.File + ".json"
		names = append(names, name)
		golden.Compare(t, filepath.Join(dir, name), string(want))
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.json"))
	require.NoError(t, err)
	assert.Equal(t, len(names), len(found), "dashboards in "+dir)
	var k struct{ ConfigMapGenerator []struct{ Files []string } }
	text, err := os.ReadFile(filepath.Join(dir, "kustomization.yaml"))
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &k))
	assert.Equal(t, names, k.ConfigMapGenerator[0].Files, "files of kustomization.yaml")
}

// TestArms checks that each arm has a board, and that it has no panel of what the arm does not have.
func TestArms(t *testing.T) {
	arms, err := os.ReadDir("../../k8s/scenarios/resilience")
	require.NoError(t, err)
	boards := map[string]Board{}
	for _, b := range Boards() {
		boards[b.File] = b
	}
	for _, arm := range arms {
		if !arm.IsDir() {
			continue
		}
		b, ok := boards["arm-"+arm.Name()]
		require.True(t, ok, "a board for the arm %s", arm.Name())
		text, err := b.JSON()
		require.NoError(t, err)
		proxies := !slices.Contains([]string{"none", "library"}, arm.Name())
		assert.Equal(t, proxies, strings.Contains(string(text), "envoy_cluster_"), arm.Name()+": queries of proxies")
		library := slices.Contains([]string{"library", "both", "twice"}, arm.Name())
		has := strings.Contains(string(text), "fleetman_upstream_breaker") || strings.Contains(string(text), "fleetman_upstream_retries")
		assert.Equal(t, library, has, arm.Name()+": queries of the library")
	}
}

// TestPanels checks each panel's words, and that one title has one meaning.
func TestPanels(t *testing.T) {
	refs := regexp.MustCompile(`{{(\w+)}}`)
	for _, b := range Boards() {
		titles := map[string]bool{}
		for _, row := range b.Rows {
			for _, p := range row.Panels {
				lacks := p.Title == "" || p.About == "" || p.Unit == "" || len(p.Queries) == 0 || titles[p.Title]
				assert.False(t, lacks, "%s: panel %q: must have title, text, unit and queries, once on a board", b.File, p.Title)
				titles[p.Title] = true
				for _, q := range p.Queries {
					for _, ref := range refs.FindAllStringSubmatch(q.Legend, -1) {
						assert.Contains(t, q.Expr, ref[1], "%s: %s: the label of its legend", b.File, p.Title)
					}
				}
			}
		}
	}
}

func TestScrapeConfig(t *testing.T) {
	pods := []local.Pod{{Name: "webapp-0", Namespace: "default", Deployment: "webapp", Address: "127.0.1.1", AdminPort: 9090, Labels: map[string]string{"app": "webapp", "version": "standard"}}}
	proxies := []mesh.ProxyStatus{{Name: "webapp-0", Namespace: "default", Admin: "127.0.1.1:15000"}, {Name: "istio-ingressgateway", Namespace: "istio-system", Gateway: true, Admin: "127.0.1.2:15000"}}
	got, err := yaml.Marshal(ScrapeConfig(pods, proxies, 2500*time.Millisecond, "/root"))
	require.NoError(t, err)
	golden.Compare(t, "testdata/prometheus.yaml", string(got))
	without := ScrapeConfig(pods, nil, time.Second, "")
	assert.Nil(t, without["rule_files"], "rules without a repository")
	assert.Len(t, without["scrape_configs"], 1, "jobs without a mesh")
}
