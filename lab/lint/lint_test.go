package lint

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/golden"
	"fleetman.example/lab/mesh/meshtest"
)

// neverEjects is a fleet with a DestinationRule that never ejects.
//
//go:embed testdata/never-ejects.yaml
var neverEjects string

// TestMarks: a mark covers what begins on the next line, or its own field, and
// nothing else.
func TestMarks(t *testing.T) {
	const good = "fleetman:ignore 1 because it is a lesson"
	for _, test := range []struct {
		place, mark string
		ignored     bool
		wrong       string
	}{
		{"OBJECT", good, true, ""},
		{"BLOCK", good, true, ""},
		{"LINE", good, true, ""},
		{"FIELD", good, true, ""},
		{"OTHER", good, false, ""},
		{"LINE", "fleetman:ignore never-opens because it is a lesson", true, ""},
		{"LINE", "fleetman:ignore 4, 1 because it is a lesson", true, ""},
		{"LINE", "fleetman:ignore 2 because it is a lesson", false, ""},
		{"LINE", "fleetman:ignore 1", false, "fleetman:ignore 1: must be RULE because REASON, such as 7 because the callers do not retry"},
		{"LINE", "fleetman:ignore 1 because", false, "fleetman:ignore 1 because: must be RULE because REASON, such as 7 because the callers do not retry"},
		{"LINE", "fleetman:ignore", false, "fleetman:ignore : must be RULE because REASON, such as 7 because the callers do not retry"},
		{"LINE", "fleetman:ignore 24 because it is a lesson", false, "fleetman:ignore 24: must be the number or the name of a rule, or a code of istioctl analyze"},
		{"LINE", "fleetman:ignore IST0132 because it is a lesson", false, ""},
	} {
		findings := check(t, strings.Replace(neverEjects, test.place, test.mark, 1))
		var ignored, wrong bool
		for _, f := range findings {
			if f.Rule == "1" {
				ignored = f.Ignored == "it is a lesson"
			}
			if f.Rule == "ignore" {
				wrong = f.Message == test.wrong && f.Severity == Error
			}
		}
		assert.Equal(t, []bool{test.ignored, test.wrong != "", !test.ignored}, []bool{ignored, wrong, Failed(findings)}, "%s: %s: %v", test.place, test.mark, findings)
	}
}

// TestKustomization: a finding has the line of the file that sets the field last:
// a patch, a component, a generator.
func TestKustomization(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/kustomize")))
	var tests []struct{ Name, Kustomization, Want string }
	golden.Cases(t, "testdata/kustomizations.yaml", &tests)
	for _, test := range tests {
		t.Run(test.Name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(test.Kustomization), 0o644))
			findings := load(t, dir).Check(Options{})
			require.Len(t, findings, 1)
			assert.Equal(t, filepath.Join(dir, test.Want), fmt.Sprintf("%s:%d", findings[0].File, findings[0].Line))
		})
	}
	findings := load(t, "testdata/generator").Check(Options{})
	assert.True(t, slices.ContainsFunc(findings, func(f Finding) bool {
		return f.Rule == "21" && strings.Contains(f.Message, "ATTEMPT_TIMEOUT 2s") && f.File == "testdata/generator/kustomization.yaml" && f.Line == 2
	}), "no finding at the generator: %v", findings)
}

// TestRate: what depends on the rate is found with one.
func TestRate(t *testing.T) {
	text := strings.Replace(neverEjects, "    # BLOCK\n", "    connectionPool: {tcp: {maxConnections: 10}, http: {http1MaxPendingRequests: 5}}\n", 1)
	m := load(t, write(t, strings.Replace(text, "maxEjectionPercent: 10", "maxEjectionPercent: 50", 1)))
	for _, test := range []struct {
		options Options
		want    []string
	}{
		{Options{}, nil},
		{Options{Rate: 50}, nil},
		{Options{Rate: 200}, []string{"13"}},                      // 20 in flight
		{Options{Rate: 50, Latency: time.Second}, []string{"13"}}, // 50 in flight
		{Options{Rate: 0.2}, []string{"16"}},                      // 2 × 3 / 0.2 = 30 s
		{Options{Rate: 0.2, Fault: time.Minute}, nil},
	} {
		assert.Equal(t, test.want, found(m.Check(test.options)), "%+v", test.options)
	}
}

// TestCalls: a call that is given is an edge.
func TestCalls(t *testing.T) {
	m := load(t, write(t, strings.Replace(neverEjects, "maxEjectionPercent: 10", "maxEjectionPercent: 100", 1)))
	assert.Nil(t, found(m.Check(Options{})), "without calls")
	assert.Equal(t, []string{"2"}, found(m.Check(Options{Calls: map[string][]string{"staff-service": {"database"}}})), "with a call")
}

// TestFormats: each format has every finding.
func TestFormats(t *testing.T) {
	findings := []Finding{
		{File: "a,b.yaml", Line: 3, Rule: "1", Name: "never-opens", Severity: Error, Message: "10 % of 2", Instead: "write 50", By: "fleetman"},
		{File: "c.yaml", Line: 1, Rule: "IST0132", Name: "istioctl-analyze", Severity: Warning, Message: "no host", By: "istioctl analyze"},
		{File: "my rules/d.yaml", Line: 2, Rule: "7", Name: "retries-twice", Severity: Error, Message: "9 calls", Ignored: "a lesson", By: "fleetman"},
	}
	formatted := func(format string, findings []Finding) []byte {
		var out bytes.Buffer
		require.NoError(t, Write(&out, format, findings))
		return out.Bytes()
	}
	for format, want := range map[string]string{
		"text":   "a,b.yaml:3: 1: 10 % of 2; write 50 (error: never-opens)\nc.yaml:1: IST0132: no host (warning: istioctl-analyze)\n",
		"github": "::error file=a%2Cb.yaml,line=3,title=fleetman lint 1 never-opens::10 %25 of 2; write 50\n::warning file=c.yaml,line=1,title=fleetman lint IST0132 istioctl-analyze::no host\n",
	} {
		assert.Equal(t, want, string(formatted(format, findings)), format)
	}
	var got []Finding
	require.NoError(t, json.Unmarshal(formatted("json", findings), &got))
	assert.Equal(t, findings, got, "json")
	assert.Equal(t, "[]\n", string(formatted("json", nil)), "json of nothing")
	var log struct {
		Version string
		Runs    []struct {
			Tool    struct{ Driver struct{ Rules []any } }
			Results []json.RawMessage
		}
	}
	require.NoError(t, json.Unmarshal(formatted("sarif", findings), &log))
	require.Len(t, log.Runs, 1, "runs")
	assert.Equal(t, []any{"2.1.0", 23}, []any{log.Version, len(log.Runs[0].Tool.Driver.Rules)}, "version and rules")
	require.Len(t, log.Runs[0].Results, 3, "results")
	assert.JSONEq(t, `{"level":"error","locations":[{"physicalLocation":{"artifactLocation":{"uri":"my%20rules/d.yaml"},"region":{"startLine":2}}}],`+
		`"message":{"text":"9 calls"},"ruleId":"7","suppressions":[{"justification":"a lesson","kind":"inSource"}]}`, string(log.Runs[0].Results[2]))
	assert.Equal(t, "1 error, 1 warning, 1 intended", Summary(findings))
}

// TestAnalyze: the messages of istioctl analyze are shown as its own, and what a
// rule reports too is shown once.
func TestAnalyze(t *testing.T) {
	istioctl := meshtest.Binaries(t).Istioctl.Path
	for _, test := range []struct {
		name, route string
		want        []string
	}{
		{"its own", "  gateways: [edge, mesh]\n  http:\n    - retries: {attempts: 0}\n      route: [{destination: {host: staff}}]\n", []string{"1", "IST0101", "IST0132"}},
		{"said by a rule", "  http:\n    - retries: {perTryTimeout: 2s}\n      route: [{destination: {host: staff}}]\n", []string{"1", "5"}},
		{"no namespace", "  exportTo: [\".\"]\n  http:\n    - retries: {attempts: 0}\n      route: [{destination: {host: staff}}]\n", []string{"1"}},
		{"intended", "  gateways: [edge, mesh]\n  http:\n    - retries: {attempts: 0}\n      route: [{destination: {host: staff}}]\n", []string{"1"}},
	} {
		mark := ""
		if test.name == "intended" {
			mark = "# fleetman:ignore IST0101,IST0132 because the gateway is elsewhere\n"
		}
		text := neverEjects + "---\n" + mark + "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: staff}\nspec:\n  hosts: [staff]\n" + test.route
		m := load(t, write(t, text))
		findings, err := m.Analyze(t.Context(), istioctl, m.Check(Options{}))
		require.NoError(t, err, test.name)
		assert.Equal(t, test.want, found(findings), "%s: %v", test.name, findings)
		for _, f := range findings {
			assert.Equal(t, strings.HasPrefix(f.Rule, "IST"), f.By == "istioctl analyze", "%s: %+v", test.name, f)
		}
	}
}

// part has a service with rules, %[1]d, that calls the services %[2]d and %[3]d.
//
//go:embed testdata/part.tmpl
var part string

// many returns manifests with n objects: services with rules and callers.
func many(n int) string {
	var text strings.Builder
	for i := range n / 4 {
		fmt.Fprintf(&text, part, i, (i+1)%(n/4), (i+2)%(n/4))
	}
	return text.String()
}

// BenchmarkCheck: 200 objects, every service of which calls two others.
func BenchmarkCheck(b *testing.B) {
	file := write(b, many(200))
	for b.Loop() {
		load(b, file).Check(Options{Rate: 100})
	}
}

// FuzzCheck: whatever is in a file, it is findings at lines of the file, or one
// error.
func FuzzCheck(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.yaml")
	require.NoError(f, err)
	require.NotEmpty(f, files, "examples to start from")
	for _, file := range files {
		f.Add(read(f, file))
	}
	file := filepath.Join(f.TempDir(), "fuzz.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		m, err := Load(file)
		if err != nil {
			return
		}
		for _, finding := range m.Check(Options{Rate: 10, Calls: map[string][]string{"staff-service": {"api-gateway"}}}) {
			if finding.File != file || finding.Line < 1 || finding.Line > 1+strings.Count(text, "\n") || finding.Message == "" || strings.Contains(finding.Message, "%!") {
				t.Errorf("%+v", finding)
			}
		}
	})
}

// TestMany: the time grows with the objects, not with the paths between them, of
// which there are 2^100 here.
func TestMany(t *testing.T) {
	assert.Contains(t, found(check(t, many(400))), "7")
}
