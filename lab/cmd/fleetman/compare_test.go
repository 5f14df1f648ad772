package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/compare"
	"fleetman.example/lab/experiment"
	"fleetman.example/lab/record"
	"fleetman.example/lab/report"
	"fleetman.example/lab/wants"
)

func TestCompareUsage(t *testing.T) {
	bad := write(t, "bad.yaml", "# q?\narms:\n  - name: a\n    manifests: x\n    mash: true\nload: {rate: fast}\n")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"compare", "a", "b"}, "fleetman compare: 2 arguments: must be at most one EXPERIMENT"},
		{[]string{"compare", "nowhere.yaml"}, "read the experiment: stat nowhere.yaml: no such file or directory"},
		{[]string{"compare", "../fleetman"}, "../fleetman: a directory: must be a file"},
		{[]string{"compare", ""}, `"": must be a file, or one of ` + strings.Join(shippedNames(t), ", ")},
		{[]string{"compare", "quick", "--arms", "", "--faults", ""}, `--arms "": must be one or more of none,library, separated by commas` + "\n" + `--faults "": must be one or more of bad-replica, separated by commas`},
		{[]string{"compare", "quick", "--out", "compare_test.go"}, "--out compare_test.go: must be a directory"},
		{[]string{"compare", "quick", "--out", "/proc/x/y", "--junit", "/proc/z"}, "--junit /proc/z: no such file or directory: must be in a directory that can be written\n--out /proc/x/y: no such file or directory: must be in a directory that can be written"},
		{[]string{"report", "x", "--svg", "compare_test.go"}, "--svg compare_test.go: must be a directory"},
		{[]string{"compare", "quick", "--fault", "f=staff-service: stop 2h"}, `--fault "f=staff-service: stop 2h": inject[0].action: "stop 2h": must be kill, stop 5s (at most 1h) or roll`},
		{[]string{"relay", "x"}, "ADDRESS: x: must be HOST:PORT"},
		{[]string{"images", "save", ""}, `"": must be a file in a directory that exists`},
		{[]string{"check", "--jobs", "9", "--network", "x"}, "--network x: must be a network, such as 127.0.1.0/24\n--jobs 9: must be between 1 and 8"},
		{[]string{"compare", "quik"}, "quik: must be a file, or one of " + strings.Join(shippedNames(t), ", ") + ": did you mean quick?"},
		{[]string{"compare", bad}, bad + `:5: arms[0]: "mash": must be one of name, meaning, from, manifests, mesh, env, replicas, patches, target` + "\n" + bad + `:6: load.rate: "fast": must be a number`},
		{[]string{"compare", "quick", "--arms", "none,none"}, `--arms "none": must be there once`},
		{[]string{"compare", "quick", "--rate", "0"}, "--rate 0: must be between 0.1 and 1000 requests per second"},
		{[]string{"compare", "quick", "--rate", "NaN"}, "--rate NaN: must be between 0.1 and 1000 requests per second"},
		{[]string{"compare", "quick", "--duration", "1ms"}, "--duration 1ms: must be between 100ms and 1h"},
		{[]string{"compare", "quick", "--seeds", "0"}, "--seeds 0: must be between 1 and 100"},
		{[]string{"compare", "quick", "--seed", "0"}, "--seed 0: must be between 1 and 4611686018427387704"},
		{[]string{"compare", "quick", "--network", "127.0.0.1/30"}, `--network "127.0.0.1/30": must be a network of at least 256 addresses within 127.0.0.0/8, such as 127.0.77.0/24`},
		{[]string{"compare", "quick", "--network", "10.0.0.0/8"}, `--network "10.0.0.0/8": must be a network of at least 256 addresses within 127.0.0.0/8, such as 127.0.77.0/24`},
		{[]string{"compare", "quick", "--target", "staff-service"}, `--target "staff-service": must be api-gateway, ingress, page, or, with load.streams, another Service`},
		{[]string{"compare", "quick", "--goal", "none, bad-replica: fun >= 1"}, `--goal "none, bad-replica: fun >= 1": figure: "fun": must be one of ` + figureNames()},
		{[]string{"compare", "quick", "--goal", "none, bad-replica: good >= 500%", "--goal", "nobody, bad-replica: p99 <= 3% at 10%", "--rate", "5000", "--duration", "2h"}, strings.Join([]string{
			"--rate 5000: must be between 0.1 and 1000 requests per second",
			"--duration 2h0m0s: must be between 100ms and 1h",
			`--goal "none, bad-replica: good >= 500%": atLeast: 500%: must be a share from 0% to 100%`,
			`--goal "nobody, bad-replica: p99 <= 3% at 10%": arm: "nobody": must be one of none, library`,
			`--goal "nobody, bad-replica: p99 <= 3% at 10%": atMost: 3%: must be a duration such as 3ms, from 0s to 3h`,
			`--goal "nobody, bad-replica: p99 <= 3% at 10%": confidence: 0.1: must be at least 50%, and less than 100%`,
		}, "\n")},
		{[]string{"compare", "quick", "--bin", "nodir", "--network", "x", "--seeds", "101", "--junit", "nodir/x", "--write", "compare_test.go"}, strings.Join([]string{
			`--network "x": must be a network of at least 256 addresses within 127.0.0.0/8, such as 127.0.77.0/24`,
			"--junit nodir/x: must be a file in a directory that exists",
			"--write compare_test.go: must be a new file in a directory that exists",
			"--bin nodir: must be a directory of programs",
			"--seeds 101: must be between 1 and 100",
		}, "\n")},
		{[]string{"compare", "quick", "--arms", "none,mash", "--faults", "fire"}, `--arms "mash": must be one or more of none,library, separated by commas` + "\n" + `--faults "fire": must be one or more of bad-replica, separated by commas`},
		{[]string{"compare", "--arm", "a=k8s/base", "--fault", "f=staff-service 0: reset", "--fault", "bad", "--goal", "good"}, strings.Join([]string{
			`--fault "f=staff-service 0: reset": replicas: 0: must be one, all, a number from 1 to 100, or a list of pods`,
			`--fault "bad": must be NAME=SERVICE [REPLICAS]: RULES`,
			`--goal "good": must be ARM, FAULT: FIGURE >= BOUND, such as "library, bad-replica: good >= 99.8% at 95%"`,
		}, "\n")},
		{[]string{"compare", "quick", "--replicas", "staff-service"}, `--replicas "staff-service": must be DEPLOYMENT=N, N from 0 to 100, separated by commas`},
		{[]string{"compare", "--arm", "mine"}, `--arm "mine": must be NAME=DIR[,FILE...][,SERVICE:VAR=VALUE...]`},
		{[]string{"compare", "--arm", "a=../../../k8s/base,staff-service:RETRY_ATEMPTS=3,all:VARIAN=bad", "--fault", "f=nobody: reset", "--fault", "g=staff-service 2: status=5;", "--replicas", "web=2,webap=2", "--target", "page", "--write", "new.yaml"}, strings.Join([]string{
			`--fault "g=staff-service 2: status=5;": inject[0].rules: rule 1 (status=5): status: "5": must be an HTTP status from 200 to 599`,
			`--arm "a=../../../k8s/base,staff-service:RETRY_ATEMPTS=3,all:VARIAN=bad": env.all.VARIAN: "VARIAN": must be a variable of a service: did you mean VARIANT?`,
			`--arm "a=../../../k8s/base,staff-service:RETRY_ATEMPTS=3,all:VARIAN=bad": env.staff-service.RETRY_ATEMPTS: "RETRY_ATEMPTS": must be a variable of staff-service: did you mean RETRY_ATTEMPTS?`,
			`--replicas web=2: "web": must be a service of the arm a: api-gateway, position-simulator, position-tracker, staff-service, vehicle-telemetry, webapp`,
			`--replicas webap=2: "webap": must be a service of the arm a: api-gateway, position-simulator, position-tracker, staff-service, vehicle-telemetry, webapp`,
			`--fault "f=nobody: reset": inject[0].service: "nobody": must be a service of the arm a: api-gateway, position-simulator, position-tracker, staff-service, vehicle-telemetry, webapp`,
			`--fault "g=staff-service 2: status=5;": inject[0].replicas: 2: must be at most 1, the pods of staff-service in the arm a`,
		}, "\n")},
		{[]string{"compare", "quick", "--run", "none", "--out", "x"}, `--run "none": must be ARM/FAULT/SEED, or ARM/FAULT/SEED/REPEAT`},
		{[]string{"compare", "quick", "--run", "none/bad-replica/1"}, "--out: missing: must be the directory that has the run"},
		{[]string{"report"}, "fleetman report: no DIR: must be one or more directories of comparisons"},
		{[]string{"report", "nodir"}, "nodir: no records: must be the directory of a comparison"},
		{[]string{"report", "compare_test.go"}, "compare_test.go: no records: must be the directory of a comparison"},
		{[]string{"report", "x", "--serve", "--port", "99999"}, "--port 99999: must be a port from 0 to 65535; see fleetman report --help"},
		{[]string{"report", "x", "--readme", "set.go"}, "--readme set.go: no marks: must have <!-- compare --> and <!-- /compare -->"},
		{[]string{"report", "x", "-o", "json", "--readme", "README.md"}, "fleetman report: -o, --readme, --serve: must be one of them"},
		{[]string{"fault", "staff-service", "status=502;rate=1.5;statsu=1;"}, strings.Join([]string{
			`rule 2 (rate=1.5): rate: "1.5": must be a share from 0 to 1, or a range such as 0..1`,
			`rule 3 (statsu=1): "statsu": must be one of delay, status, reset, hang, truncate, slow, capacity, idle, crash, retry-after, queue, rate, over, method, path, header, after, for, every, count`,
		}, "\n")},
		{[]string{"fault", "staff-service", "reset", "--clear"}, "fleetman fault: must be SERVICE or POD with RULES, or --clear, or --show; see fleetman fault --help"},
	} {
		expect(t, exitUsage, "", "fleetman: "+test.want+"\n", test.args...)
	}
}

// figureNames lists the figures of goals.
func figureNames() string {
	var names []string
	for _, f := range report.Figures() {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

func shippedNames(t *testing.T) []string {
	t.Helper()
	names, _ := shipped(inRoot(t).root)
	return names
}

// inRoot are the repository's places.
func inRoot(t *testing.T) *places {
	t.Helper()
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	return &places{root: root, state: filepath.Join(t.TempDir(), "fleetman")}
}

// parsed reads a command line of compare.
func parsed(t *testing.T, where *places, args ...string) compare.Options {
	t.Helper()
	var f compareFlags
	cmd := compareCommand(where)
	cmd.ResetFlags()
	f.add(cmd.Flags())
	require.NoError(t, cmd.ParseFlags(args))
	o, err := f.options(cmd, cmd.Flags().Args(), where)
	require.NoError(t, err, "%q", args)
	return o
}

// TestNoExperiment: without one, those of the repository are listed.
func TestNoExperiment(t *testing.T) {
	code, _, stderr := fleetman(t, "compare")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, stderr, "\n  quick               In two minutes: what do users see of one bad replica, without resilience and with the library?\n")
}

// TestCommandReproduces: the command in the records makes the same experiment, as
// a shell reads it.
func TestCommandReproduces(t *testing.T) {
	where := inRoot(t)
	inDirectory := filepath.Join(t.TempDir(), "my experiments", "quick.yaml")
	require.NoError(t, os.MkdirAll(filepath.Dir(inDirectory), 0o755))
	require.NoError(t, parsed(t, where, "quick").Experiment.Write(inDirectory, where.root))
	for _, args := range [][]string{
		{"quick"},
		{"comparison", "--arms", "none,mesh", "--faults", "all-bad,crash-loop", "--seed", "7", "--seeds", "3"},
		{"comparison", "--rate", "2.5", "--duration", "4s", "--target", "page"},
		{"comparison", "--parallel", "--load-jobs", "2"},
		{inDirectory},
		{
			"--arm", "none=k8s/base", "--arm", "mine=k8s/base,more.yaml,all:RESILIENCE=library", "--fault", "slow=staff-service all: delay=2s;status=502,rate=0.5 + webapp: stop 5s",
			"--replicas", "staff-service=3,webapp=0", "--goal", "mine, slow: good >= 99.8%",
		},
	} {
		want := parsed(t, where, args...)
		got := parsed(t, where, shellSplit(strings.TrimPrefix(want.Command, "fleetman compare "))...)
		assert.Equal(t, text(t, want.Experiment), text(t, got.Experiment), want.Command)
	}
}

// shellSplit splits words at spaces outside of single quotes.
func shellSplit(line string) (words []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words
}

func text(t *testing.T, e *experiment.Experiment) string {
	t.Helper()
	text, err := e.YAML()
	require.NoError(t, err)
	return string(text)
}

// TestWrite: flags make an experiment, and --write saves it: the file is the same
// one, from another directory too.
func TestWrite(t *testing.T) {
	where := inRoot(t)
	args := []string{
		"--root", where.root,
		"--arm", "mine=" + where.root + "/k8s/base,all:RESILIENCE=library,staff-service:PHOTO_BASE_URL=http://a/", "--fault", "bad=staff-service: status=503,rate=0.3",
		"--replicas", "staff-service=3", "--goal", "mine, bad: good >= 99.8%", "--rate", "50",
	}
	path := filepath.Join(t.TempDir(), "mine.yaml")
	expect(t, 0, "", "", append([]string{"compare", "--write", path}, args...)...)
	e := parsed(t, where, path).Experiment
	require.Len(t, e.Arms, 1)
	require.Len(t, e.Faults, 1)
	arm, in := e.Arms[0], e.Faults[0].Inject[0]
	assert.Equal(t, where.root+"/k8s/base", arm.Manifests[0])
	assert.Equal(t, "http://a/", arm.Env["staff-service"]["PHOTO_BASE_URL"])
	assert.Equal(t, "library", arm.Env["all"]["RESILIENCE"])
	assert.Equal(t, "staff-service 1: status=503,rate=0.3", fmt.Sprintf("%s %d: %s", in.Service, in.Replicas.N(3), in.Rules))
	assert.EqualValues(t, "3", e.Fleet.Replicas["staff-service"])
	assert.EqualValues(t, 50, e.Load.Rate)
	assert.Equal(t, experiment.Bound("99.8%"), e.Goals[0].AtLeast)
	elsewhere := t.TempDir()
	t.Chdir(elsewhere)
	again, err := experiment.Read(path, nil)
	require.NoError(t, err)
	again.Seeds = []uint64{1}
	_, err = compare.Options{Experiment: again}.Manifests() // without a repository
	require.NoError(t, err)
	inOrder := regexp.MustCompile(`(?s)^question: .*\nfleet:\n.*\narms:\n  - name: mine\n    manifests:\n.*\nfaults:\n.*\nload:\n.*\nphases:\n.*\nslo: 1.5s\ngoals:\n`)
	assert.Regexp(t, inOrder, read(t, path), "fields, and no seed, which is by chance")
	below := filepath.Join(t.TempDir(), "below.yaml")
	expect(t, 0, "", "", "compare", "--write", below, "--root", where.root, "--arm", "none=repo:k8s/base")
	assert.Contains(t, read(t, below), "- repo:k8s/base\n", "a path below the repository")
	expect(t, exitUsage, "", "fleetman: --write "+path+": must be a new file in a directory that exists\n", append([]string{"compare", "--write", path}, args...)...)
}

// TestTarget: --target keeps the streams that a file has, and no default ones.
func TestTarget(t *testing.T) {
	where := inRoot(t)
	assert.Len(t, parsed(t, where, "quick", "--target", "page").Experiment.Load.Streams, 2, "the page's own")
	own := parsed(t, where, "telemetry-ejection", "--arms", "mine", "--target", "position-tracker").Experiment.Load
	assert.Equal(t, "position-tracker", own.Target)
	assert.Equal(t, "/vehicles/{vehicle}", own.Streams[0].Path, "the file's")
}

// TestLengths: published experiments stay within the time that their users have.
func TestLengths(t *testing.T) {
	where := inRoot(t)
	for args, most := range map[string]time.Duration{
		"comparison": 16 * time.Minute, "quick": 3 * time.Minute, "bad-replica": 6 * time.Minute, "cost": 5 * time.Minute, "retries": 4 * time.Minute, "storm": 6 * time.Minute, "telemetry-ejection": 3 * time.Minute,
	} {
		c, err := compare.New(parsed(t, where, strings.Fields(args)...))
		require.NoError(t, err)
		_, _, lasts := c.Left()
		assert.LessOrEqual(t, lasts, most, args)
	}
}

// oneRun is the text of records.
func oneRun(t *testing.T) []byte {
	t.Helper()
	second := record.Offset(time.Second)
	run := &record.Run{
		Key: record.Key{Arm: "none", Fault: "bad-replica", Seed: 3}, Rate: 1, FaultAt: second, RepairAt: 5 * second, End: 9 * second, Rules: "reset", Pods: []string{"staff-service-0"}, Replicas: 1,
		Requests: []record.Request{{Intended: 2 * second, Start: 2 * second, End: 4 * second, Status: 500, Error: "no answer"}, {Intended: 3 * second, Start: 3 * second, End: 3 * second, Status: 200}},
		Samples:  []record.Sample{{At: 5 * second, Pod: "staff-service-0", Counts: []record.Count{{Name: record.CountServer, Of: "GET /driver/:vehicle", N: 1}}}},
	}
	header := &record.Comparison{Command: "fleetman compare --arms none --faults bad-replica --seed 3 --seeds 1", Conditions: record.Conditions{Seeds: []uint64{3}, Rate: 1, SLO: second}}
	var file bytes.Buffer
	require.NoError(t, errors.Join(record.WriteHeader(&file, header), record.Write(&file, run)))
	return file.Bytes()
}

// TestReport computes from records alone.
func TestReport(t *testing.T) {
	text := string(oneRun(t))
	path := write(t, record.FileName, text)
	dir := filepath.Dir(path)
	shows(t, []string{"bad-replica   ██████······\n"}, "report", dir)
	assert.NotContains(t, onlyOut(fleetman(t, "report", dir)), "\x1b")
	shows(t, []string{"bad-replica: reset in staff-service-0 for 4 s; 1 requests per second; seeds 3\n", "none  50 %"}, "report", "--all", dir)
	for goal, want := range map[string]struct {
		code   int
		stderr string
	}{
		"none, bad-replica: good >= 1%":   {0, ""},
		"none, bad-replica: good >= 100%": {1, "fleetman: goals: 1 of 1 not met\n"},
		"none, bad-replica: good >= 60%":  {3, "fleetman: goals: 1 of 1 not met\n"},
		"none, bad-replica: best >= 60%":  {exitUsage, "fleetman: …best…\n"},
		"library, bad-replica: good >= 1": {exitUsage, "fleetman: goal library, bad-replica: good >= 1 at 95%: no run of library with bad-replica: must be in the records\n"},
		"none":                            {exitUsage, "fleetman: --goal \"none\": must be …\n"},
	} {
		code, _, stderr := fleetman(t, "report", dir, "--goal", goal)
		assert.Equal(t, want.code, code, goal)
		wants.Text(t, goal, stderr, want.stderr)
	}
	for _, form := range []string{"--output=json", "--json"} {
		shows(t, []string{`"findings": [`}, "report", form, dir)
	}
	shows(t, []string{" figures: no difference shown (--all shows them)\n"}, "report", dir, dir)
	page := filepath.Join(dir, "pair.html")
	expect(t, 0, onlyOut(fleetman(t, "report", dir, dir)), "", "report", dir, dir, "--html", page)
	assert.Contains(t, read(t, page), "<h2 id=\"matrix-head\">Side by side</h2>")
	partial := filepath.Dir(write(t, record.FileName, strings.Replace(text, `"replicas":1`, `"replicas":2`, 1)))
	shows(t, []string{"! A (" + partial + "): one seed", "! B (" + partial + "): one seed"}, "report", partial, partial)
	expect(t, exitUsage, "", "fleetman: report: none, bad-replica, seed 3: must be there once\n", "report", dir, dir, dir)
	readme := filepath.Join(dir, "README.md")
	require.NoError(t, os.WriteFile(readme, []byte("no marks\n"), 0o644))
	expect(t, exitUsage, "", "fleetman: --readme "+readme+": no marks: must have <!-- compare --> and <!-- /compare -->\n", "report", dir, "--readme", readme)
	assert.Equal(t, "no marks\n", read(t, readme))
	require.NoError(t, os.WriteFile(readme, []byte("a\n<!-- compare -->\nold\n<!-- /compare -->\nb\n"), 0o644))
	expect(t, 0, "", "", "report", dir, "--readme", readme)
	written := read(t, readme)
	assert.Regexp(t, "^a\n<!-- compare -->\n`fleetman compare --arms none --faults bad-replica --seed 3 --seeds 1`, ", written)
	assert.Contains(t, written, "\n| bad-replica | 50 / 0 / 50; max 2 s |\n")
	assert.Regexp(t, "\n<!-- /compare -->\nb\n$", written)
	lines := strings.SplitAfter(text, "\n")
	for cut, want := range map[string]string{
		text[:len(text)-3]: ":5: none, bad-replica, seed 3: the line is cut off",
		strings.Join(slices.Delete(slices.Clone(lines), 2, 3), ""): ":2: none, bad-replica, seed 3: lines: 2: must be 3: some are missing",
		text + lines[4]: ":2: none, bad-replica, seed 3: lines: 4: must be 3: there are more than the run has",
	} {
		path = write(t, record.FileName, cut)
		again := "fleetman compare --arms none --faults bad-replica --seed 3 --seeds 1 --out " + filepath.Dir(path) + " measures what is not whole"
		expect(t, exitUsage, "", "fleetman: "+path+want+"\n"+again+"\n", "report", filepath.Dir(path))
	}
	compressed := record.Incomplete{Command: "fleetman compare quick", Defects: []record.Defect{{File: "my dir/" + record.CompressedName}}}
	assert.Equal(t, "zstd -d 'my dir/records.jsonl.zst' && fleetman compare quick --out 'my dir' measures what is not whole", measuresAgain(compressed, "my dir"), "compressed")
	var errs buffer
	assert.Equal(t, exitUnmeasured, run(t.Context(), []string{"report", dir}, os.Environ(), full{}, &errs), "exit code of a report that cannot be written: 1 is a missed goal")
	empty := t.TempDir()
	expect(t, exitUsage, "", "fleetman: "+empty+": no records: must be the directory of a comparison\n", "report", empty)
}
