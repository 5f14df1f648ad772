package process

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/process"
)

// Usage is what a process has used.
type Usage struct {
	CPU time.Duration // user and system, since it started
	RSS uint64        // resident memory, bytes
}

// UsageOf returns what a process has used.
func UsageOf(ctx context.Context, pid int) (Usage, error) {
	p := process.Process{Pid: int32(pid)}
	times, err := p.TimesWithContext(ctx)
	if err != nil {
		return Usage{}, fmt.Errorf("usage of process %d: %w", pid, err)
	}
	memory, err := p.MemoryInfoWithContext(ctx)
	if err != nil {
		return Usage{}, fmt.Errorf("usage of process %d: %w", pid, err)
	}
	return Usage{CPU: seconds(times.User + times.System), RSS: memory.RSS}, nil
}

// MachineTime is the CPU time of all cores since the machine started.
type MachineTime struct {
	Busy   time.Duration
	Stolen time.Duration // given by the machine's host to other machines
}

// TimeOfMachine returns the machine's CPU time.
func TimeOfMachine(ctx context.Context) (MachineTime, error) {
	all, err := cpu.TimesWithContext(ctx, false)
	if err != nil || len(all) == 0 {
		return MachineTime{}, fmt.Errorf("CPU time of the machine: %w", err)
	}
	t := all[0] // a guest's time is in the user's already
	return MachineTime{Busy: seconds(t.User + t.Nice + t.System + t.Irq + t.Softirq), Stolen: seconds(t.Steal)}, nil
}

// MachineModel returns the name of the machine's CPU, or its architecture.
func MachineModel(ctx context.Context) string {
	if all, err := cpu.InfoWithContext(ctx); err == nil && len(all) > 0 && all[0].ModelName != "" {
		return all[0].ModelName
	}
	return runtime.GOARCH
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
