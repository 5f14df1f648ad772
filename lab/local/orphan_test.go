package local

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fleetman.example/lab/manifest"
)

// launchAndWait is the launcher that TestNoOrphans kills: it prints its pods'
// processes and waits for ever.
func launchAndWait() int {
	if os.Getenv("LAB_TEST_LAUNCHER") == "guardian" { // as on a system without Pdeathsig
		childAttr = func() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
	}
	objects, err := manifest.Load("../../k8s/base")
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	o := Options{Bin: os.Getenv("LAB_TEST_BIN"), State: os.Getenv("LAB_TEST_STATE"), Environ: os.Environ()}
	if err := o.Network.UnmarshalText([]byte(os.Getenv("LAB_TEST_NETWORK"))); err != nil {
		fmt.Println("error", err)
		return 1
	}
	o.NodeAddress = o.Network.Addr().Next().Next().Next().Next().Next().Next().Next().Next()
	fleet, err := Start(context.Background(), objects, o)
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	for _, pod := range fleet.Pods() {
		fmt.Println("process", pod.PID)
	}
	fmt.Println("guardian", fleet.spawner.watching.Process.Pid)
	select {}
}

// TestNoOrphans kills a launcher with -9: by the kernel's Pdeathsig or, where
// there is none, by the guardian, no process outlives it.
func TestNoOrphans(t *testing.T) {
	for _, by := range []string{"kernel", "guardian"} {
		t.Run(by, func(t *testing.T) {
			o := testOptions(t)
			launcher := exec.Command(os.Args[0])
			launcher.Env = append(os.Environ(), "LAB_TEST_LAUNCHER="+by, "LAB_TEST_BIN="+o.Bin, "LAB_TEST_STATE="+o.State, "LAB_TEST_NETWORK="+o.Network.String())
			stdout, err := launcher.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := launcher.Start(); err != nil {
				t.Fatal(err)
			}
			var pids []int
			for lines := bufio.NewScanner(stdout); lines.Scan(); {
				var what string
				var pid int
				if _, err := fmt.Sscan(lines.Text(), &what, &pid); err != nil {
					t.Fatalf("the launcher says %q", lines.Text())
				}
				pids = append(pids, pid)
				if what == "guardian" {
					break
				}
			}
			if len(pids) != 7 {
				t.Fatalf("processes %v, want six pods and a guardian", pids)
			}
			if err := launcher.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = launcher.Wait()
			for deadline := time.Now().Add(patience); ; {
				left := alive(pids)
				if len(left) == 0 {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("processes %v outlived the launcher", left)
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
}

// alive are the processes that still run; one that nobody has waited for does
// not.
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
