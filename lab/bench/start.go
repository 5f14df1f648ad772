package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"fleetman.example/lab/process"
)

// program has the start-up time, size and idle memory of one service.
type program struct {
	name   string
	ready  spread // ms from exec to the first /readyz of 200
	binary int64  // bytes
	idle   int64  // bytes resident
}

// nowhere is an upstream that refuses every connection at once.
const nowhere = "127.0.88.3:1"

// start measures every service alone.
func (b *bench) start(ctx context.Context, r *Result) error {
	for _, name := range services {
		info, err := os.Stat(filepath.Join(b.Bin, name))
		if err != nil {
			return err
		}
		p := program{name: name, binary: info.Size()}
		var took []float64
		for i := range b.size.starts {
			running, d, err := b.startOnce(ctx, name)
			if err != nil {
				return err
			}
			took = append(took, ms(d))
			if i == b.size.starts-1 {
				p.idle, err = b.idle(ctx, running)
			}
			running.End(0)
			if err != nil {
				return err
			}
		}
		p.ready = spreadOf(took)
		r.programs = append(r.programs, p)
		b.say("%s: ready in %.0f ms (%.0f to %.0f), %.1f MB on disk, %.1f MB idle", name, p.ready.median, p.ready.min, p.ready.max, mb(p.binary), mb(p.idle))
	}
	return nil
}

// idle returns the resident memory of a service that nobody calls.
func (b *bench) idle(ctx context.Context, s *subject) (int64, error) {
	if err := process.Sleep(ctx, b.size.idleAfter); err != nil {
		return 0, err
	}
	used, err := process.UsageOf(ctx, s.PID())
	return int64(used.RSS), err
}

// startOnce starts a service and waits until it is ready.
func (b *bench) startOnce(ctx context.Context, name string) (*subject, time.Duration, error) {
	began := time.Now()
	p, err := b.service(ctx, name, "POSITION_TRACKER_URL="+nowhere)
	if err != nil {
		return nil, 0, err
	}
	for {
		if _, err = ask(ctx, p.admin, "/readyz"); err == nil {
			return p, time.Since(began), nil
		}
		if time.Since(began) > startTimeout || process.Sleep(ctx, time.Millisecond) != nil {
			p.End(0)
			return nil, 0, fmt.Errorf("%s: not ready within %s: %w", name, startTimeout, err)
		}
	}
}

func mb(bytes int64) float64 { return float64(bytes) / 1e6 }
