package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"fleetman.example/lab/compare"
	"fleetman.example/lab/record"
)

func TestCompareUsage(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"compare", "x"}, `fleetman compare: "x": must be without arguments`},
		{[]string{"compare", "--arms", "none,mash"}, `--arms "mash": must be one or more of none,library,matched,sidecars,mesh,both,ingress,retries, separated by commas`},
		{[]string{"compare", "--arms", ""}, `--arms "": must be one or more of none,library,matched,sidecars,mesh,both,ingress,retries, separated by commas`},
		{[]string{"compare", "--profile", "mine"}, `--profile "mine": must be one of plain,all,matched,defaults`},
		{[]string{"compare", "--profile", "plain,all"}, `--profile "plain,all": must be one of plain,all,matched,defaults`},
		{[]string{"compare", "--profile", "all", "--arms", "none"}, "--arms none, --profile all: must be one of them"},
		{[]string{"compare", "--faults", "fire"}, `--faults "fire": must be one or more of bad-replica,dead-replica,all-bad,slow-body,crash-loop,storm,healthy, separated by commas`},
		{[]string{"compare", "--faults", "storm,storm"}, `--faults "storm": must be there once`},
		{[]string{"compare", "--rate", "0"}, "--rate 0: must be between 1 and 1000 requests per second"},
		{[]string{"compare", "--rate", "NaN"}, "--rate NaN: must be between 1 and 1000 requests per second"},
		{[]string{"compare", "--duration", "1s"}, "--duration 1s: must be between 3s and 1h"},
		{[]string{"compare", "--seeds", "0"}, "--seeds 0: must be between 1 and 100"},
		{[]string{"compare", "--seed", "0"}, "--seed 0: must be between 1 and 4611686018427387804"},
		{[]string{"compare", "--seed", "-1"}, "--seed -1: must be a whole number, 0 or more; see fleetman compare --help"},
		{[]string{"compare", "--network", "127.0.0.1/30"}, `--network "127.0.0.1/30": must be an IPv4 network of at least 256 addresses, such as 127.0.77.0/24`},
		{[]string{"compare", "--target", "webapp"}, `--target "webapp": must be one of gateway,page`},
		{[]string{"compare", "--target", "page", "--arms", "ingress,none"}, "--target page: must be gateway with the arm ingress"},
		{[]string{"compare", "--service", "staff"}, `--service "staff": must be one of staff-service,vehicle-telemetry,position-tracker,api-gateway`},
		{[]string{"report"}, "fleetman report: no DIR: must be one or more directories of comparisons"},
		{[]string{"report", "x", "--json", "--readme", "README.md"}, "fleetman report: --json, --csv, --markdown, --readme: must be one of them"},
		{[]string{"fault"}, "fleetman fault: must be SERVICE or POD with RULES, or --clear, or --show; see fleetman fault --help"},
		{[]string{"fault", "staff-service"}, "fleetman fault: must be SERVICE or POD with RULES, or --clear, or --show; see fleetman fault --help"},
		{[]string{"fault", "staff-service", " "}, "fleetman fault: must be SERVICE or POD with RULES, or --clear, or --show; see fleetman fault --help"},
		{[]string{"fault", "staff-service", "reset", "--clear"}, "fleetman fault: must be SERVICE or POD with RULES, or --clear, or --show; see fleetman fault --help"},
		{[]string{"fault", "staff-service", "--show", "--clear"}, "fleetman fault: --clear, --show: must be one of them"},
		{[]string{"fault", "verify", "a", "b"}, "fleetman fault verify: 2 arguments: must be at most one SERVICE or POD"},
	} {
		code, stdout, stderr := fleetman(t, test.args...)
		if code != exitUsage || stderr != "fleetman: "+test.want+"\n" || stdout != "" {
			t.Errorf("%q: exit code %d, stdout %q\n got %s\nwant %s", test.args, code, stdout, stderr, test.want)
		}
	}
}

// parse reads the flags of compare.
func parse(t *testing.T, args string) (compare.Options, error) {
	t.Helper()
	var f compareFlags
	cmd := new(cobra.Command)
	f.add(cmd)
	if err := cmd.ParseFlags(strings.Fields(args)); err != nil {
		t.Fatal(err)
	}
	return f.options(cmd, places{root: t.TempDir()}, nil)
}

// TestCommandReproduces: the command that the report prints makes the same
// comparison.
func TestCommandReproduces(t *testing.T) {
	for _, args := range []string{
		"", "--quick", "--quick --seeds 3", "--quick --faults storm --profile all", "--profile matched --rate 2.5 --duration 4s",
		"--arms none,ingress --faults healthy,all-bad --seed 7 --seeds 3", "--target page --service position-tracker --quick --duration 5s",
	} {
		want, err := parse(t, args)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		writeRecords(t, dir, want)
		code, stdout, stderr := fleetman(t, "report", "--markdown", dir)
		command, _, found := strings.Cut(strings.TrimPrefix(stdout, "`fleetman compare "), "`, ")
		if code != 0 || !found {
			t.Fatalf("%q: exit code %d, stderr %s, stdout %s", args, code, stderr, stdout)
		}
		got, err := parse(t, command)
		if err != nil {
			t.Fatalf("%q: %q: %v", args, command, err)
		}
		for _, o := range []*compare.Options{&got, &want} { // where, not what
			o.Root, o.Out = "", ""
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: printed %q\n got %+v\nwant %+v", args, command, got, want)
		}
	}
}

// writeRecords writes one run of a comparison.
func writeRecords(t *testing.T, dir string, o compare.Options) {
	t.Helper()
	var file bytes.Buffer
	second := record.Offset(time.Second)
	run := &record.Run{
		Key: record.Key{Arm: o.Arms[0].Name, Fault: o.Faults[0].Name, Seed: o.Seeds[0]}, Rate: o.Rate, FaultAt: second, RepairAt: 5 * second, End: 9 * second, Rules: "reset",
		Requests: []record.Request{{Intended: 2 * second, Start: 2 * second, End: 2 * second, Status: 200}},
		Samples:  []record.Sample{{At: 5 * second, Pod: "staff-service-0", Counts: []record.Count{{Name: record.CountServer, Of: "GET /driver/:vehicle", N: 1}}}},
		Pods:     []string{"staff-service-0"}, Replicas: 1,
	}
	if err := errors.Join(record.WriteHeader(&file, compare.Header(t.Context(), o)), record.Write(&file, run)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, compare.RecordsFile), file.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestCompareChoices: what is compared, by flags.
func TestCompareChoices(t *testing.T) {
	for args, want := range map[string]string{
		"":                                           "none,library × bad-replica,dead-replica,all-bad,slow-body,crash-loop × 2",
		"--quick":                                    "none,library × bad-replica,all-bad × 2",
		"--quick --faults bad-replica":               "none,library × bad-replica × 3",
		"--quick --seeds 1":                          "none,library × bad-replica,all-bad × 1",
		"--profile all":                              "none,library,sidecars,mesh,both × bad-replica,dead-replica,all-bad,slow-body,crash-loop × 1",
		"--profile all --quick":                      "none,library,sidecars,mesh,both × bad-replica × 1",
		"--profile matched --seeds 3":                "none,matched,sidecars,mesh,both × bad-replica,dead-replica,all-bad,slow-body,crash-loop × 3",
		"--profile defaults --quick":                 "none,library,sidecars × bad-replica,all-bad × 1",
		"--profile matched":                          "none,matched,sidecars,mesh,both × bad-replica,dead-replica,all-bad,slow-body,crash-loop × 1",
		"--arms mesh,none --faults storm":            "mesh,none × storm × 2",
		"--profile matched --faults healthy":         "none,matched,sidecars,mesh,both × healthy × 1",
		"--profile matched --faults healthy --quick": "none,matched,sidecars,mesh,both × healthy × 1",
	} {
		got, err := parse(t, args)
		if err != nil {
			t.Errorf("%q: %v", args, err)
			continue
		}
		var arms, faults []string
		for _, a := range got.Arms {
			arms = append(arms, a.Name)
		}
		for _, fault := range got.Faults {
			faults = append(faults, fault.Name)
		}
		if text := fmt.Sprintf("%s × %s × %d", strings.Join(arms, ","), strings.Join(faults, ","), len(got.Seeds)); text != want {
			t.Errorf("%q: got %s, want %s", args, text, want)
		}
		most := 15 * time.Minute
		switch {
		case strings.Contains(args, "--quick"):
			most = 3 * time.Minute
		case strings.Contains(args, "--seeds"):
			most = time.Hour
		case strings.Contains(args, "healthy"):
			most = 4 * time.Minute
		}
		if longest := compare.Expected(got); longest > most {
			t.Errorf("%q: takes %v, want %v at most", args, longest, most)
		}
	}
}

func TestFaultWithoutFleet(t *testing.T) {
	state := t.TempDir()
	for _, args := range [][]string{{"fault", "--show"}, {"fault", "staff-service", "reset"}, {"fault", "staff-service", "--clear"}, {"fault", "verify"}} {
		code, stdout, stderr := fleetman(t, append(args, "--state", state)...)
		if want := "fleetman: no fleet runs in " + state + "; start one with fleetman up, or name its directory with --state\n"; code != exitFailure || stdout != "" || stderr != want {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
}

// TestReport computes from records alone.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	second := record.Offset(time.Second)
	run := &record.Run{
		Key: record.Key{Arm: "none", Fault: "bad-replica", Seed: 3}, Rate: 1, FaultAt: second, RepairAt: 5 * second, End: 9 * second, Rules: "reset", Pods: []string{"staff-service-0"}, Replicas: 1,
		Requests: []record.Request{{Intended: 2 * second, Start: 2 * second, End: 4 * second, Status: 500, Error: "no answer"}, {Intended: 3 * second, Start: 3 * second, End: 3 * second, Status: 200}},
		Samples:  []record.Sample{{At: 5 * second, Pod: "staff-service-0", Counts: []record.Count{{Name: record.CountServer, Of: "GET /driver/:vehicle", N: 1}}}},
	}
	header := &record.Comparison{Command: "fleetman compare --arms none --faults bad-replica --seed 3 --seeds 1", Conditions: record.Conditions{Seeds: []uint64{3}, Rate: 1, SLO: second}}
	var file bytes.Buffer
	if err := errors.Join(record.WriteHeader(&file, header), record.Write(&file, run)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, compare.RecordsFile)
	if err := os.WriteFile(path, file.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := fleetman(t, "report", dir)
	if code != 0 || stderr != "" || !strings.Contains(stdout, "bad-replica   ██████······\n") || strings.Contains(stdout, "\x1b") {
		t.Errorf("exit code %d, stderr %q, stdout %s", code, stderr, stdout)
	}
	code, stdout, stderr = fleetman(t, "report", "--all", dir)
	if code != 0 || stderr != "" || !strings.Contains(stdout, "bad-replica: reset in staff-service-0 for 4 s; 1 requests per second; seeds 3\n") || !strings.Contains(stdout, "none  50 %") {
		t.Errorf("exit code %d, stderr %q, stdout %s", code, stderr, stdout)
	}
	for goal, want := range map[string]struct {
		code   int
		stderr string
	}{
		"none, bad-replica: good >= 1%":   {0, ""},
		"none, bad-replica: good >= 100%": {1, "fleetman: goal none, bad-replica: good >= 100% at 95%: missed: 50 % (9.5..90.5) of 2 requests\n"},
		"none, bad-replica: good >= 60%":  {3, "fleetman: goal none, bad-replica: good >= 60% at 95%: not decided by 2 requests: 50 % (9.5..90.5); about 93 would decide it\n"},
		"none, bad-replica: best >= 60%":  {exitUsage, ""},
		"library, bad-replica: good >= 1": {exitUsage, "fleetman: goal library, bad-replica: good >= 1 at 95%: no run of library with bad-replica: must be in the records\n"},
		"none":                            {exitUsage, ""},
	} {
		code, _, stderr := fleetman(t, "report", dir, "--goal", goal)
		if code != want.code || want.stderr != "" && stderr != want.stderr || code == exitUsage && stderr == "" {
			t.Errorf("%s: exit code %d, stderr %q, want %d, %q", goal, code, stderr, want.code, want.stderr)
		}
	}
	code, stdout, stderr = fleetman(t, "report", "--json", dir)
	if code != 0 || stderr != "" || !strings.Contains(stdout, `"findings": [`) {
		t.Errorf("exit code %d, stderr %q, stdout %s", code, stderr, stdout)
	}
	code, stdout, stderr = fleetman(t, "report", dir, dir)
	if code != 0 || stderr != "" || !strings.HasSuffix(stdout, " figures: no difference shown (--all shows them)\n") {
		t.Errorf("side by side: exit code %d, stdout %s, stderr %q", code, stdout, stderr)
	}
	code, stdout, stderr = fleetman(t, "report", dir, dir, dir)
	if want := "fleetman: report: none, bad-replica, seed 3: must be there once\n"; code != exitFailure || stdout != "" || stderr != want {
		t.Errorf("three times: exit code %d, stdout %s, stderr %q, want %q", code, stdout, stderr, want)
	}
	readme := filepath.Join(dir, "README.md")
	for text, want := range map[string]string{
		"a\n<!-- compare -->\nold\n<!-- /compare -->\nb\n": "",
		"no marks\n": "fleetman: --readme " + readme + ": no marks: must have <!-- compare --> and <!-- /compare -->\n",
	} {
		if err := os.WriteFile(readme, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, stdout, stderr = fleetman(t, "report", dir, "--readme", readme)
		written, err := os.ReadFile(readme)
		if err != nil || stdout != "" || stderr != want || want != "" && string(written) != text {
			t.Errorf("%q: stdout %q, stderr %q, want %q, %v", text, stdout, stderr, want, err)
		}
		if want == "" && (!strings.HasPrefix(string(written), "a\n<!-- compare -->\n`fleetman compare --arms none --faults bad-replica --seed 3 --seeds 1`, ") ||
			!strings.Contains(string(written), "\n| bad-replica | 50 / 0 / 50; 0 of 2 above 2 s |\n") || !strings.HasSuffix(string(written), "\n<!-- /compare -->\nb\n")) {
			t.Errorf("got\n%s", written)
		}
	}
	if err := os.WriteFile(path, file.Bytes()[:file.Len()-3], 0o644); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = fleetman(t, "report", dir)
	if want := "fleetman: " + path + ":5: the line is cut off\n"; code != exitFailure || stdout != "" || stderr != want {
		t.Errorf("exit code %d, stdout %s, stderr %q, want %q", code, stdout, stderr, want)
	}
	empty := t.TempDir()
	code, stdout, stderr = fleetman(t, "report", empty)
	if want := "fleetman: records: open " + filepath.Join(empty, compare.RecordsFile) + ": no such file or directory: must be the directory of a comparison\n"; code != exitFailure || stdout != "" || stderr != want {
		t.Errorf("exit code %d, stdout %s, stderr %q, want %q", code, stdout, stderr, want)
	}
}
