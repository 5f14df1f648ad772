package binaries

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"fleetman.example/lab/process"
)

// lockPoll is how often a run tries to take a lock that another run holds.
const lockPoll = 200 * time.Millisecond

// once makes the file path unless it exists. With AtHand it makes nothing: a missing file is an error. make
// writes to another file, which is renamed when it is complete, so a file named path is always a complete
// one. Of two runs at once one makes the file and the other waits. The system releases the lock when the last process that has the lock's file open
// ends: make passes the file to its child, and the lock holds for as long as the child writes, even
// when this process is killed.
func (s Source) once(ctx context.Context, path string, make func(ctx context.Context, temporary string, lock *os.File) error) error {
	switch {
	case process.IsProgram(path):
		return nil
	case s.atHand:
		return errors.New("not found")
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
	if process.IsProgram(path) { // by the run that this one waited for
		return nil
	}
	temporary := path + ".partial"
	if err := os.RemoveAll(temporary); err != nil { // left by a run that was killed
		return err
	}
	defer os.RemoveAll(temporary)
	if err := make(ctx, temporary, lock); err != nil {
		return err
	}
	if !process.IsProgram(temporary) {
		return fmt.Errorf("%s was not written", temporary)
	}
	return os.Rename(temporary, path)
}

func (s Source) lock(ctx context.Context, lock *os.File, what string) error {
	for reported := false; ; {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("lock %s: %w", lock.Name(), err)
		}
		if !reported {
			s.progress("waiting for another run that makes %s", what)
			reported = true
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for another run that makes it: %w", ctx.Err())
		case <-time.After(lockPoll):
		}
	}
}
