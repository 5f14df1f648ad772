package parts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockPoll is how often a run that waits for another's work looks again.
const lockPoll = 200 * time.Millisecond

// once makes the file path unless it is there. Only whole files get that name:
// make writes to another one, which is renamed at the end. Of two runs at once
// one makes it and the other waits. The lock goes with the last process that
// has it open, so who passes it on to a child keeps others out for as long as
// the child writes, whatever happens to this process.
func (s Source) once(ctx context.Context, path string, make func(ctx context.Context, temporary string, lock *os.File) error) error {
	if isProgram(path) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := s.lock(ctx, lock, filepath.Base(path)); err != nil {
		return err
	}
	if isProgram(path) { // made while this run waited
		return nil
	}
	temporary := path + ".partial"
	if err := os.RemoveAll(temporary); err != nil { // of a run that was killed
		return err
	}
	defer os.RemoveAll(temporary)
	if err := make(ctx, temporary, lock); err != nil {
		return err
	}
	if !isProgram(temporary) {
		return fmt.Errorf("%s was not written", temporary)
	}
	return os.Rename(temporary, path)
}

func (s Source) lock(ctx context.Context, lock *os.File, what string) error {
	for said := false; ; {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("locking %s: %w", lock.Name(), err)
		}
		if !said {
			s.progress("another run is bringing %s; waiting for it", what)
			said = true
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for another run that is bringing it: %w", ctx.Err())
		case <-time.After(lockPoll):
		}
	}
}
