package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"fleetman.example/lab/skip"
)

func TestParseStat(t *testing.T) {
	const rest = " S 1 2 2 0 -1 4194560 1 0 0 0 150 25 7 8 20 0 9 0 100 0 0"
	for _, tc := range []struct {
		text string
		want time.Duration
		err  string
	}{
		{"42 (api-gateway)" + rest, 1750 * time.Millisecond, ""},
		{"42 (a) R (b c))" + rest, 1750 * time.Millisecond, ""},
		{"42 (api-gateway) S 1", 0, "expected 15 fields"},
		{"", 0, "expected 15 fields"},
		{strings.Replace("42 (x)"+rest, "150", "many", 1), 0, `parsing "many"`},
	} {
		got, err := parseStat(tc.text)
		if got != tc.want || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%q: got %v, %v, want %v, %q", tc.text, got, err, tc.want, tc.err)
		}
	}
}

func TestParseResident(t *testing.T) {
	got, err := parseResident("Name:\tx\nVmHWM:\t   99 kB\nVmRSS:\t   22892 kB\nRssAnon:\t 1 kB\n")
	if err != nil || got != 22892*1024 {
		t.Errorf("got %d, %v", got, err)
	}
	for _, text := range []string{"", "Name:\tx\n", "VmRSS:\t lots kB\n"} {
		if got, err := parseResident(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

func TestParseMachineTime(t *testing.T) {
	got, err := parseMachineTime("cpu  100 20 30 4000 500 6 7 80 9 10\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
	if want := (machineTime{1630 * time.Millisecond, 800 * time.Millisecond}); err != nil || got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, text := range []string{"", "cpu 1 2\n", "intr 1 2 3 4 5 6 7 8 9\n", "cpu a 2 3 4 5 6 7 8 9\n"} {
		if got, err := parseMachineTime(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func TestParseModel(t *testing.T) {
	if got := parseModel("processor\t: 0\nmodel name\t: AMD EPYC\n"); got != "AMD EPYC" {
		t.Errorf("got %q", got)
	}
	if got := parseModel(""); got == "" {
		t.Error("unknown: got nothing, want the architecture")
	}
}

// The kernel's own text reads too, and time goes on.
func TestThisProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		skip.Without(t, fmt.Sprint("no /proc, which Linux has: ", err))
	}
	if _, err := cpuTime(os.Getpid()); err != nil {
		t.Error(err)
	}
	if n, err := residentMemory(os.Getpid()); err != nil || n < 1<<20 {
		t.Errorf("resident: got %d, %v", n, err)
	}
	if m, err := readMachineTime(); err != nil || m.busy <= 0 {
		t.Errorf("got %v, %v", m, err)
	}
}
