package process

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if by := os.Getenv("LAB_TEST_LAUNCHER"); by != "" {
		os.Exit(launchAndWait(by))
	}
	os.Exit(m.Run())
}

// launchAndWait is the launcher that TestNoOrphans kills: it prints the IDs of
// its processes and waits forever.
func launchAndWait(by string) int {
	if by == "guardian" { // as on a system without Pdeathsig
		childAttr = func() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
	}
	s, err := NewSpawner()
	for range 2 {
		var p *Process
		if err == nil {
			p, err = s.Start(exec.Command("sleep", "600"))
		}
		if err != nil {
			fmt.Println("error", err)
			return 1
		}
		fmt.Println("process", p.PID())
	}
	fmt.Println("guardian", s.guardian.Process.Pid)
	select {}
}

// TestNoOrphans kills a launcher with -9: by the kernel's Pdeathsig or, where
// there is none, by the guardian, no process outlives it.
func TestNoOrphans(t *testing.T) {
	for _, by := range []string{"kernel", "guardian"} {
		t.Run(by, func(t *testing.T) {
			launcher := exec.Command(os.Args[0])
			launcher.Env = append(os.Environ(), "LAB_TEST_LAUNCHER="+by)
			stdout, err := launcher.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, launcher.Start())
			var pids []int
			for lines := bufio.NewScanner(stdout); len(pids) < 3 && lines.Scan(); {
				var what string
				var pid int
				_, err := fmt.Sscan(lines.Text(), &what, &pid)
				require.NoError(t, err, "the launcher printed %q", lines.Text())
				pids = append(pids, pid)
			}
			require.Len(t, pids, 3, "two processes and a guardian")
			require.NoError(t, launcher.Process.Kill())
			_ = launcher.Wait()
			require.Eventually(t, func() bool { return len(alive(pids)) == 0 }, 2*time.Minute, 5*time.Millisecond, "processes %v end with the launcher", pids)
		})
	}
}

// alive returns the processes that still run; a zombie does not.
func alive(pids []int) []int {
	var left []int
	for _, pid := range pids {
		if syscall.Kill(pid, 0) == syscall.ESRCH {
			continue
		}
		status, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "stat"))
		if err == nil && strings.Contains(string(status), ") Z ") {
			continue
		}
		left = append(left, pid)
	}
	return left
}
