package lint

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/record"
	"fleetman.example/lab/wants"
)

// provable returns the example of a rule that an experiment shows.
func provable(rule *Rule) string {
	dir := filepath.Join("testdata", fmt.Sprintf("%02d", rule.Number))
	if file := filepath.Join(dir, "prove.yaml"); isFile(file) {
		return file
	}
	return filepath.Join(dir, "bad.yaml")
}

// TestProve: each rule that can be proven has a valid experiment for an example,
// whose repair ends the finding.
func TestProve(t *testing.T) {
	for _, rule := range Rules() {
		if rule.dump {
			continue
		}
		t.Run(rule.Name, func(t *testing.T) {
			file := provable(rule)
			m := load(t, file)
			e, err := m.Prove(rule.Name, Options{}, []string{file}, t.TempDir())
			if rule.proof == nil {
				assert.ErrorContains(t, err, rule.NoProof, "why it is not proven")
				return
			}
			require.NoError(t, err)
			require.NoError(t, e.Check(nil))
			assert.Equal(t, strconv.Itoa(rule.Number), e.Finding.Rule)
			assert.NotContains(t, e.Describe(), "%!")
			repaired, err := manifest.Decode(file, e.Repaired)
			require.NoError(t, err)
			for _, object := range repaired {
				same := func(o manifest.Object) bool { return o.Ref() == object.Ref() }
				if i := slices.IndexFunc(m.Objects.All, same); i >= 0 {
					m.Objects.All[i] = object
				} else {
					m.Objects.All = append(m.Objects.All, object)
				}
			}
			assert.NotContains(t, found(m.Check(Options{})), strconv.Itoa(rule.Number), "is found after its repair:\n%s", e.Repaired)
		})
	}
}

// TestProveOneHost: the repair of a service with one host has another one, which may take its requests.
func TestProveOneHost(t *testing.T) {
	file := write(t, strings.Replace(read(t, "testdata/01/bad.yaml"), "replicas: 2", "replicas: 1", 1))
	e, err := load(t, file).Prove("1", Options{}, []string{file}, t.TempDir())
	require.NoError(t, err)
	for _, want := range []string{"  replicas: 2\n", "      maxEjectionPercent: 50\n"} {
		assert.Contains(t, string(e.Repaired), want)
	}
}

// TestProveNothing: without a finding, or a rule, there is nothing to prove.
func TestProveNothing(t *testing.T) {
	m := load(t, "testdata/01/good.yaml")
	for name, want := range map[string]string{
		"1":  "rule 1 never-opens: no finding: must have one",
		"24": "24: must be the number or the name of a rule",
	} {
		_, err := m.Prove(name, Options{}, nil, "")
		wants.Error(t, name, err, want)
	}
	_, err := m.Dump("20", Options{})
	wants.Error(t, "20", err, "rule 20 never-received: no finding: must have one")
}

// TestProveOthers: findings that no experiment shows say why.
func TestProveOthers(t *testing.T) {
	for _, test := range []struct{ name, file, old, new, want string }{
		{"9", "09/bad.yaml", "", "", "maxRetries beside a budget changes nothing: a run without it is the same"},
		{"11", "11/bad.yaml", "", "", "retries or a timeout would not change what this fault does"},
		{"1", "01/bad.yaml", "image: fleetman/staff-service:6", "image: example/staff:1", "the Service must be in the manifests, and run one of the fleet's programs, which have the faults"},
		{"15", "15/bad.yaml", "consistentHash: {httpHeaderName: x-user}", "consistentHash: {useSourceIp: true}", "the load keeps no cookies, and has one address"},
		{"17", "17/bad.yaml", "replicas: 2", "replicas: 1", "one host: a retry meets the same fault"},
	} {
		file := write(t, strings.Replace(read(t, "testdata/"+test.file), test.old, test.new, 1))
		_, err := load(t, file).Prove(test.name, Options{}, []string{file}, t.TempDir())
		wants.Error(t, test.file, err, file+":…: not shown by an experiment: "+test.want)
	}
}

// TestResult: both arms are in one line, and the goal is judged.
func TestResult(t *testing.T) {
	e := &Experiment{Experiment: experiment.New(), trial: &trial{measures: []measure{ejections, failed}, goal: fewer(1, "the share that failed")}}
	run := func(arm string, failures, ejected int) *record.Run {
		r := &record.Run{Key: record.Key{Arm: arm}, FaultAt: 10, RepairAt: 1000}
		for i := range 100 {
			status := 200
			if i < failures {
				status = 503
			}
			r.Requests = append(r.Requests, record.Request{Intended: record.Offset(10 + i), Status: status})
		}
		r.Requests = append(r.Requests, record.Request{Intended: 0, Status: 503}, record.Request{Intended: 1000, Status: 503})
		for range ejected {
			r.Events = append(r.Events, record.Event{What: record.EventEjected})
		}
		return r
	}
	for _, test := range []struct {
		written, repaired *record.Run
		want              string
		met               bool
	}{
		{run(AsWritten, 50, 0), run(Repaired, 3, 1), "as written: 0 ejections, 50 % failed; repaired: 1 ejection, 3 % failed", true},
		{run(AsWritten, 50, 0), run(Repaired, 30, 1), "as written: 0 ejections, 50 % failed; repaired: 1 ejection, 30 % failed", false},
		{run(AsWritten, 0, 0), run(Repaired, 0, 0), "as written: 0 ejections, 0 % failed; repaired: 0 ejections, 0 % failed", false},
	} {
		line, met, err := e.Result([]*record.Run{test.repaired, test.written})
		require.NoError(t, err)
		assert.Equal(t, []any{test.want, test.met}, []any{line, met})
	}
	_, _, err := e.Result(nil)
	wants.Error(t, "without runs", err, "records: no run of the arm as-written: must have one")
}
