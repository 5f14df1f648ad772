package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestBackoff(t *testing.T) {
	b := backoff{first: 250 * time.Millisecond}
	var got []time.Duration
	for _, up := range []time.Duration{0, 0, 0, 0, 0, 0, 0, 14 * time.Second, 15 * time.Second, 0} {
		got = append(got, b.delay(up))
	}
	const ms = time.Millisecond
	want := []time.Duration{0, 250 * ms, 500 * ms, 1000 * ms, 2000 * ms, 4000 * ms, 7500 * ms, 7500 * ms, 0, 250 * ms}
	assert.Equal(t, want, got, "delays")
}

// fake is a process of the tests: it runs for life, or until SIGKILL, or
// SIGTERM unless it is stubborn, and exits with exit.
type fake struct {
	life     time.Duration
	exit     error
	stubborn bool
}

func (f fake) start(pid int) *Process {
	killed := make(chan os.Signal, 2)
	p := &Process{pid: pid, started: time.Now(), done: make(chan struct{}), signal: func(sig os.Signal) error {
		if sig == syscall.SIGKILL || !f.stubborn {
			killed <- sig
		}
		return nil
	}}
	go func() {
		select {
		case sig := <-killed:
			p.exit = fmt.Errorf("signal: %v", sig)
		case <-time.After(f.life):
			p.exit = f.exit
		}
		close(p.done)
	}()
	return p
}

var (
	errMissing = errors.New("no such file")
	errExit    = errors.New("exit status 1")
)

// TestSupervisor: every status, and when it is reached, for starts that fail
// and processes that end. Whatever happens, the last state is one of running,
// waiting with a next try, given up with a reason, or stopped.
func TestSupervisor(t *testing.T) {
	const forever = 24 * time.Hour
	for _, test := range []struct {
		name   string
		config Config
		starts []any // a fake or an error for each start; the last one is repeated
		settle bool  // at the first process
		renew  bool  // at every process
		stop   time.Duration
		want   []string
	}{
		{
			name: "a start that fails is tried again", stop: time.Second,
			starts: []any{errMissing, errMissing, fake{life: forever}},
			want: []string{
				"0s waiting, next try at +0s: no such file", "0s waiting, next try at +100ms: no such file",
				"100ms running 1 restarts 0", "1s stopped: signal: terminated",
			},
		},
		{
			name: "a restart that fails is tried again", stop: time.Second,
			starts: []any{fake{life: 50 * time.Millisecond}, errMissing, fake{life: forever}},
			want: []string{
				"0s running 1 restarts 0", "50ms waiting, next try at +0s: exit status 0", "50ms waiting, next try at +100ms: no such file",
				"150ms running 2 restarts 1", "1s stopped: signal: terminated",
			},
		},
		{
			name: "given up", config: Config{Tries: 3}, stop: time.Second,
			starts: []any{fake{exit: errExit}, errMissing, fake{exit: errExit}},
			want: []string{
				"0s running 1 restarts 0", "0s waiting, next try at +0s: exit status 1", "0s waiting, next try at +100ms: no such file",
				"100ms running 2 restarts 1", "100ms given up because it failed 3 times, last with exit status 1",
			},
		},
		{
			name: "given up at the first failure", config: Config{Tries: 1}, stop: time.Second, starts: []any{errMissing},
			want: []string{"0s given up because no such file"},
		},
		{
			name: "settled, it is never given up", config: Config{Tries: 2}, settle: true, stop: 500 * time.Millisecond,
			starts: []any{fake{}, errMissing},
			want: []string{
				"0s running 1 restarts 0", "0s waiting, next try at +0s: exit status 0", "0s waiting, next try at +100ms: no such file",
				"100ms waiting, next try at +200ms: no such file", "300ms waiting, next try at +400ms: no such file", "500ms stopped: no such file",
			},
		},
		{
			name: "an exit that is intended", renew: true, stop: 45 * time.Millisecond, starts: []any{fake{life: 20 * time.Millisecond}},
			want: []string{
				"0s running 1 restarts 0", "20ms waiting, next try at +0s: exit status 0", "20ms running 2 restarts 1",
				"40ms waiting, next try at +0s: exit status 0", "40ms running 3 restarts 2", "45ms stopped: signal: terminated",
			},
		},
		{
			name: "killed after its grace period", config: Config{Grace: 2 * time.Second}, stop: time.Second,
			starts: []any{fake{life: forever, stubborn: true}},
			want:   []string{"0s running 1 restarts 0", "3s stopped: signal: killed"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), test.stop)
				defer cancel()
				var got []string
				var s *Supervisor
				started := 0
				c := test.config
				c.Backoff = 100 * time.Millisecond
				if c.Grace == 0 {
					c.Grace = time.Second
				}
				c.Start = func() (*Process, error) {
					next := test.starts[min(started, len(test.starts)-1)]
					started++
					if err, ok := next.(error); ok {
						return nil, err
					}
					return next.(fake).start(started), nil
				}
				pid := 0
				c.Changed = func(now Status) {
					switch now.State {
					case Running:
						pid++
						got = append(got, fmt.Sprintf("%v running %d restarts %d", time.Since(began), pid, now.Restarts))
						if test.settle {
							s.Settle()
						}
						if test.renew {
							s.Renew()
						}
					case Waiting:
						got = append(got, fmt.Sprintf("%v waiting, next try at +%v: %s", time.Since(began), time.Until(now.Next), now.Why))
					case Stopped:
						got = append(got, fmt.Sprintf("%v stopped: %s", time.Since(began), now.Why))
					case GivenUp:
						got = append(got, fmt.Sprintf("%v %v", time.Since(began), now))
					}
				}
				s = New(c)
				s.Run(ctx)
				assert.Equal(t, test.want, got, "statuses")
				now := s.Status()
				assert.True(t, now.Process == nil && now.State != Running && now.State != Waiting, "at the end: %+v", now)
			})
		})
	}
}

// TestAttend: what runs beside a process has ended before the next process
// starts, and a restart waits for BeforeRestart.
func TestAttend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		note := func(text string) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, text)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		started := 0
		New(Config{
			Start: func() (*Process, error) {
				started++
				note(fmt.Sprintf("start %d", started))
				return fake{life: 3 * time.Second}.start(started), nil
			},
			Attend: func(ctx context.Context, p *Process) {
				<-ctx.Done()
				note(fmt.Sprintf("attended %d", p.PID()))
			},
			BeforeRestart: func(context.Context) { time.Sleep(time.Second); note("before restart") },
			Backoff:       time.Millisecond, Grace: time.Second,
		}).Run(ctx)
		assert.Equal(t, []string{"start 1", "attended 1", "before restart", "start 2", "attended 2"}, got, "order")
	})
}
