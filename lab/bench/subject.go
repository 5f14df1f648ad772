package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"fleetman.example/lab/process"
)

// subject is a running program that listens.
type subject struct {
	*process.Process
	name        string
	addr, admin string
}

// startTimeout is how long a program may take until it listens.
const startTimeout = 20 * time.Second

// service starts a service of the fleet on any free ports of 127.0.88.1.
func (b *bench) service(ctx context.Context, name string, env ...string) (*subject, error) {
	return b.run(ctx, name, exec.Command(filepath.Join(b.Bin, name)), env...)
}

// plain starts a process of ServePlain.
func (b *bench) plain(ctx context.Context, role string, args ...string) (*subject, error) {
	command := append(append([]string{}, b.Plain...), role)
	return b.run(ctx, "plain "+role, exec.Command(command[0], append(command[1:], args...)...))
}

// run starts cmd and returns when its log has the line "listening".
func (b *bench) run(ctx context.Context, name string, cmd *exec.Cmd, env ...string) (*subject, error) {
	cmd.Env = append([]string{"LISTEN_ADDR=127.0.88.1:0", "ADMIN_ADDR=127.0.88.1:0"}, env...)
	log, write := io.Pipe()
	cmd.Stdout, cmd.Stderr = write, write
	p, err := b.spawner.Start(cmd)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		<-p.Done()
		write.Close()
	}()
	listens, ended := make(chan listening, 1), make(chan struct{})
	var last atomic.Value
	go func() {
		defer close(ended)
		readLog(log, listens, &last)
	}()
	s := &subject{Process: p, name: name}
	select {
	case l := <-listens:
		s.addr, s.admin = l.Addr, l.Admin
		return s, nil
	case <-ended:
		return nil, fmt.Errorf("start %s: it exited, after %q", name, last.Load())
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(startTimeout):
		err = fmt.Errorf("start %s: no line \"listening\" within %s; the last one: %q", name, startTimeout, last.Load())
	}
	p.End(0)
	return nil, err
}

// listening is the log line that has a program's addresses.
type listening struct{ Msg, Addr, Admin string }

func readLog(log io.Reader, listens chan<- listening, last *atomic.Value) {
	for lines := bufio.NewScanner(log); lines.Scan(); {
		last.Store(lines.Text())
		var l listening
		if listens != nil && json.Unmarshal(lines.Bytes(), &l) == nil && l.Msg == "listening" {
			listens <- l
			listens = nil
		}
	}
	_, _ = io.Copy(io.Discard, log) // a line too long must not stop the program
}

// group is processes that are measured and stopped together.
type group []*subject

func (g group) stop() {
	for _, s := range g {
		s.End(0)
	}
}

// usage returns what the processes have used, in all.
func (g group) usage(ctx context.Context) (sum process.Usage, err error) {
	for _, s := range g {
		used, err := process.UsageOf(ctx, s.PID())
		if err != nil {
			return sum, fmt.Errorf("%s: %w", s.name, err)
		}
		sum.CPU += used.CPU
		sum.RSS += used.RSS
	}
	return sum, nil
}
