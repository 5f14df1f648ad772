package envoy

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process has used.
type Usage struct {
	CPU time.Duration // user and system, since it started
	RSS uint64        // resident memory, bytes
}

// Process asks the system what a process has used.
func Process(ctx context.Context, pid int) (Usage, error) {
	usage, err := usageOf(ctx, pid)
	if err != nil {
		return Usage{}, fmt.Errorf("usage of process %d: %w", pid, err)
	}
	return usage, nil
}

// usageByPS is for systems without /proc: ps gives CPU time to a hundredth of a
// second at best.
func usageByPS(ctx context.Context, pid int) (Usage, error) {
	output, err := exec.CommandContext(ctx, "ps", "-o", "time=,rss=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return Usage{}, err
	}
	return parsePS(string(bytes.TrimSpace(output)))
}

// parsePS reads "[[days-]hours:]minutes:seconds[.hundredths] kilobytes".
func parsePS(line string) (Usage, error) {
	fields := strings.Fields(line)
	if len(fields) != 2 {
		return Usage{}, fmt.Errorf("ps said %.60q; a time and a size are expected", line)
	}
	kilobytes, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return Usage{}, fmt.Errorf("ps said %.60q; a size in kilobytes is expected", line)
	}
	text, days := fields[0], 0.0
	if before, after, ok := strings.Cut(text, "-"); ok {
		if days, err = strconv.ParseFloat(before, 64); err != nil {
			return Usage{}, fmt.Errorf("ps said %.60q; days are expected", line)
		}
		text = after
	}
	total := 0.0
	for part := range strings.SplitSeq(text, ":") {
		number, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("ps said %.60q; a time is expected", line)
		}
		total = total*60 + number
	}
	return Usage{CPU: time.Duration((days*86400 + total) * float64(time.Second)), RSS: kilobytes << 10}, nil
}
