package process

import (
	"os"
	"testing"
	"time"

	"fleetman.example/lab/wants"
)

func TestUsageOf(t *testing.T) {
	usage, err := UsageOf(t.Context(), os.Getpid())
	if err != nil || usage.RSS < 1<<20 || usage.RSS > 8<<30 || usage.CPU < 0 || usage.CPU > time.Hour {
		t.Errorf("got %+v, %v", usage, err)
	}
	for until := time.Now().Add(2 * time.Minute); ; { // it grows
		if later, err := UsageOf(t.Context(), os.Getpid()); err != nil || later.CPU > usage.CPU {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("CPU stays %v", usage.CPU)
		}
	}
	_, err = UsageOf(t.Context(), 1<<30)
	wants.Error(t, "a process that is not there", err, "usage of process 1073741824: …")
}

func TestMachine(t *testing.T) {
	if m, err := TimeOfMachine(t.Context()); err != nil || m.Busy <= 0 || m.Stolen < 0 {
		t.Errorf("got %v, %v", m, err)
	}
	if MachineModel(t.Context()) == "" {
		t.Error("no model")
	}
}
