package process

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// interruptGrace is how long a command that is interrupted may take to remove
// its temporary files.
const interruptGrace = 5 * time.Second

// Lines runs a command and calls line with each line of its output. When the
// context ends, the command and its children are interrupted, and killed after
// interruptGrace; the context's error is returned once all have ended.
func Lines(ctx context.Context, cmd *exec.Cmd, line func(string)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	cmd.Stdout, cmd.Stderr = write, write
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that its own children end with it
	err = cmd.Start()
	write.Close()
	if err != nil {
		return err
	}
	group, ended := -cmd.Process.Pid, make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-ended:
			return
		case <-ctx.Done():
		}
		_ = syscall.Kill(group, syscall.SIGINT)
		select {
		case <-ended:
		case <-time.After(interruptGrace):
			_ = syscall.Kill(group, syscall.SIGKILL)
			read.Close()
		}
	}()
	for lines := bufio.NewReader(read); ; {
		text, err := lines.ReadString('\n')
		if text != "" {
			line(strings.TrimSuffix(text, "\n"))
		}
		if err != nil { // the end: all that had the pipe have exited
			break
		}
	}
	err = cmd.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
