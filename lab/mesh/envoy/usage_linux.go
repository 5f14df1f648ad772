package envoy

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc's times, for user programs on every Linux.
const tick = 10 * time.Millisecond

func usageOf(_ context.Context, pid int) (Usage, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	// The second field is the name in parentheses and may hold anything.
	text := string(data)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 22 {
		return Usage{}, fmt.Errorf("/proc/%d/stat has %d fields after the name; 22 at least are expected", pid, len(fields))
	}
	number := func(field int) uint64 { // counted as in proc(5), from 1
		value, _ := strconv.ParseUint(fields[field-3], 10, 64)
		return value
	}
	return Usage{
		CPU: time.Duration(number(14)+number(15)) * tick,
		RSS: number(24) * uint64(os.Getpagesize()),
	}, nil
}
