package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc's CPU times: USER_HZ is 100 on every Linux that Go knows.
const tick = 10 * time.Millisecond

// cpuTime is what a process has used so far, user and system, its ended threads too.
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(string(text))
}

// parseStat reads fields 14 and 15 of proc_pid_stat(5); field 2, the program's name in
// parentheses, may hold anything.
func parseStat(text string) (time.Duration, error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:]) // from field 3 on
	if len(fields) < 13 || !strings.Contains(text, ")") {
		return 0, fmt.Errorf("process stat %.40q: expected 15 fields", text)
	}
	user, err1 := strconv.ParseUint(fields[11], 10, 63)
	system, err2 := strconv.ParseUint(fields[12], 10, 63)
	if err := errors.Join(err1, err2); err != nil {
		return 0, fmt.Errorf("process stat: %w", err)
	}
	return time.Duration(user+system) * tick, nil
}

// residentMemory is what a process holds in memory, in bytes, its program's pages too.
func residentMemory(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseResident(string(text))
}

func parseResident(status string) (int64, error) {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("process status: VmRSS: %w", err)
			}
			return kb << 10, nil
		}
	}
	return 0, errors.New("process status: expected VmRSS")
}

// machineTime is what all cores have done so far: what they worked here, and what they would have
// worked had the machine's host not given them to others.
type machineTime struct{ busy, stolen time.Duration }

func readMachineTime() (machineTime, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return machineTime{}, err
	}
	return parseMachineTime(string(text))
}

// parseMachineTime adds up the first line of proc_stat(5) without idle, iowait and the guests' times
// (which are in user's and nice's already).
func parseMachineTime(text string) (m machineTime, err error) {
	first, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(first)
	if len(fields) < 9 || fields[0] != "cpu" {
		return m, fmt.Errorf("stat %.40q: expected cpu and 8 numbers", first)
	}
	for _, i := range []int{1, 2, 3, 6, 7, 8} { // user nice system irq softirq steal
		n, err := strconv.ParseUint(fields[i], 10, 63)
		if err != nil {
			return m, fmt.Errorf("stat: %w", err)
		}
		took := &m.busy
		if i == 8 {
			took = &m.stolen
		}
		*took += time.Duration(n) * tick
	}
	return m, nil
}

// machine says where and when figures were measured.
type machine struct {
	date, cpu, goVersion string
	cores                int
	quick                bool
}

func thisMachine(now time.Time, quick bool) machine {
	text, _ := os.ReadFile("/proc/cpuinfo") // without it the model is not known
	return machine{now.UTC().Format(time.DateOnly), parseModel(string(text)), runtime.Version(), runtime.NumCPU(), quick}
}

func parseModel(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
