package compare

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"fleetman.example/lab/local"
	"fleetman.example/lab/record"
	"fleetman.example/lab/report"
)

func armName(a Arm) string     { return a.Name }
func faultName(f Fault) string { return f.Name }

func TestPick(t *testing.T) {
	picked, err := Pick(Arms, armName, "library,none")
	if err != nil || len(picked) != 2 || picked[0].Name != "library" || picked[1].Name != "none" {
		t.Errorf("got %v, %v", picked, err)
	}
	for _, list := range []string{Usual, Quick, "storm"} {
		if _, err := Pick(Faults, faultName, list); err != nil {
			t.Errorf("%s: %v", list, err)
		}
	}
	for list, want := range map[string]string{
		"":          `"": one or more of none,library,matched,retries, with commas, are expected`,
		"none,":     `"": one or more of none,library,matched,retries, with commas, are expected`,
		"none,nobu": `"nobu": one or more of none,library,matched,retries, with commas, are expected`,
		"none,none": `"none": named twice`,
	} {
		if picked, err := Pick(Arms, armName, list); err == nil || err.Error() != want || picked != nil {
			t.Errorf("%q: got %v, %v, want %s", list, picked, err, want)
		}
	}
}

// TestCells: the arms take turns, and every one has the same seeds.
func TestCells(t *testing.T) {
	o := Options{Arms: Arms[:2], Faults: []Fault{Faults[0], Faults[5]}, Seeds: []uint64{7, 8}, Timing: Timing{time.Second, 10 * time.Second, 2 * time.Second}}
	var got []string
	for _, c := range o.cells() {
		got = append(got, fmt.Sprintf("%s %s %d %v", c.fault.Name, c.arm.Name, c.seed, c.timing.total()))
	}
	want := []string{
		"bad-replica none 7 13s", "bad-replica library 7 13s", "bad-replica none 8 13s", "bad-replica library 8 13s",
		"storm none 7 23s", "storm library 7 23s", "storm none 8 23s", "storm library 8 23s",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSettings(t *testing.T) {
	got := map[local.Setting]bool{}
	for _, s := range Arms[1].settings(42) {
		got[s] = true
	}
	for _, want := range []local.Setting{
		{Target: "staff-service", Name: "FAULTS_SEED", Value: "42"},
		{Target: "position-simulator", Name: "SEED", Value: "42"},
		{Target: "api-gateway", Name: "UPSTREAM_SEED", Value: "42"},
		{Target: "api-gateway", Name: "RESILIENCE", Value: "library"},
		{Target: "position-tracker", Name: "RESILIENCE", Value: "library"},
		{Target: "position-simulator", Name: "RESILIENCE", Value: "library"},
	} {
		if !got[want] {
			t.Errorf("no %+v", want)
		}
	}
	for _, s := range Arms[0].settings(42) {
		if s.Name == "RESILIENCE" {
			t.Errorf("without any resilience: %+v", s)
		}
	}
}

func options(t *testing.T, third int) Options {
	return Options{
		Root: "../..", Out: t.TempDir(), Environ: os.Environ(), Progress: func(line string) { t.Log(line) }, Rate: 20,
		Network: netip.MustParsePrefix(fmt.Sprintf("127.%d.%d.0/24", 100+os.Getpid()%100, third)),
		Arms:    Arms[:2], Faults: Faults[:1], Seeds: []uint64{1}, Timing: Timing{2 * time.Second, 8 * time.Second, 4 * time.Second},
	}
}

// TestComparison is a short one with the real services: one of two replicas is
// bad. Without resilience it shows, and the library contains it.
func TestComparison(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute of load")
	}
	o := options(t, 243)
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(o.Out, RecordsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cells, err := record.Read(file, file.Name())
	if err != nil {
		t.Fatal(err)
	}
	computed := report.Compute(cells)
	report.Text(t.Output(), computed)
	if len(computed.Faults) != 1 || len(computed.Faults[0].Arms) != 2 {
		t.Fatalf("got %+v", computed)
	}
	none, library := computed.Faults[0].Arms[0].Runs[0], computed.Faults[0].Arms[1].Runs[0]
	if none.Failed == 0 {
		t.Error("the fault does not show without resilience: the comparison proves nothing")
	}
	if library.After == nil || library.After.Good <= none.Good {
		t.Errorf("library: %+v after containment, none: %.3f good", library.After, none.Good)
	}
	opened := false
	for _, e := range library.Timeline {
		opened = opened || e.What == "breaker open"
	}
	if !opened {
		t.Errorf("no breaker opened: %+v", library.Timeline)
	}
	for name, run := range map[string]report.Run{"none": none, "library": library} {
		if run.Requests != 160 || math.Abs(run.Good+run.Degraded+run.Failed-1) > 1e-9 || run.PositionsHealthy < 2 {
			t.Errorf("%s: %+v", name, run)
		}
		for _, hop := range run.Hops {
			if hop.Requests == 0 || math.Abs(hop.Attempts-hop.Received) > 8 { // under way at the ends
				t.Errorf("%s: the two ends disagree: %+v", name, hop)
			}
		}
	}
}

// TestOlderRecords: those of another comparison are never overwritten.
func TestOlderRecords(t *testing.T) {
	o := options(t, 242)
	path := filepath.Join(o.Out, RecordsFile)
	if err := os.WriteFile(path, []byte("precious\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := Run(t.Context(), o)
	if text, _ := os.ReadFile(path); err == nil || !strings.HasSuffix(err.Error(), "file exists; an older comparison's are kept: name another directory with --out") || string(text) != "precious\n" {
		t.Errorf("got %v, records %q", err, text)
	}
}

// TestStopped: a comparison that is ended leaves no records of the run that
// was under way, and no fleet.
func TestStopped(t *testing.T) {
	o := options(t, 241)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(0, cancel)
	err := Run(ctx, o)
	if err == nil || !strings.HasPrefix(err.Error(), "none, bad-replica, seed 1: ") {
		t.Errorf("got %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(o.Out, RecordsFile)); err != nil || len(text) != 0 {
		t.Errorf("records %q, %v", text, err)
	}
}
