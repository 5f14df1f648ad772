package compare

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// thisMachine says what the figures were taken on.
func thisMachine() string {
	machine := fmt.Sprintf("%d cores, %s/%s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	text, _ := os.ReadFile("/proc/cpuinfo")
	if _, after, found := strings.Cut(string(text), "model name\t: "); found {
		model, _, _ := strings.Cut(after, "\n")
		return machine + ", " + strings.TrimSpace(model)
	}
	return machine
}
