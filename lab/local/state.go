package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Lock creates the state directory and locks it. The lock ends with the process.
func Lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Join(dir, "logs"), 0o755); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	file, err := os.OpenFile(lockFile(dir), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer file.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("state directory: locking %s: %w", file.Name(), err)
		}
		owner, _ := os.ReadFile(file.Name())
		return nil, fmt.Errorf("another fleet runs in %s (process %s): end it with fleetman down, or choose another directory with --state, and other addresses with --network and --node-address",
			dir, strings.TrimSpace(string(owner)))
	}
	if err = file.Truncate(0); err == nil {
		_, err = fmt.Fprintln(file, os.Getpid())
	}
	if err != nil {
		unlockFile(file)
		return nil, fmt.Errorf("state directory: %w", err)
	}
	return func() { unlockFile(file) }, nil
}

// unlockFile closes a file that is locked. Closing alone ends the lock only when no process has a copy of the file: one that
// this process starts has one until it executes its program.
func unlockFile(file *os.File) {
	_ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
	file.Close()
}

// lockFile is held by the launcher and has its process id.
func lockFile(dir string) string { return filepath.Join(dir, "lock") }

// Owner returns the process id of the launcher that has locked the state
// directory; 0 when none has.
func Owner(dir string) (process int, err error) {
	file, err := os.Open(lockFile(dir))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("state directory: %w", err)
	}
	defer unlockFile(file)
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if err == nil {
		return 0, nil
	}
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return 0, fmt.Errorf("state directory: lock %s: %w", file.Name(), err)
	}
	owner, err := os.ReadFile(file.Name())
	if err == nil {
		process, err = strconv.Atoi(strings.TrimSpace(string(owner)))
	}
	if err != nil {
		return 0, fmt.Errorf("state directory: process of %s: %w", file.Name(), err)
	}
	return process, nil
}

// AwaitUnlocked waits until no launcher has locked the state directory.
func AwaitUnlocked(ctx context.Context, dir string) error {
	file, err := os.Open(lockFile(dir))
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	unlocked := make(chan error, 1)
	go func() { // until then, whatever the context does
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_SH)
		unlockFile(file) // before the caller locks it
		unlocked <- err
	}()
	select {
	case err := <-unlocked:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// openLog opens a pod's log file, empty.
func openLog(state, pod string) (*os.File, error) {
	name := filepath.Join(state, "logs", strings.ReplaceAll(pod, "/", ".")+".log")
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("log of pod %s: %w", pod, err)
	}
	return file, nil
}

// adminToken is the variable that the services read.
const adminToken = "ADMIN_TOKEN"

// adminTokenFile is where the token of the fleet with that state directory is.
func adminTokenFile(state string) string { return filepath.Join(state, "admin-token") }

// writeSecret creates a file that only this user can read. It replaces one that
// others can read.
func writeSecret(path, text string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
