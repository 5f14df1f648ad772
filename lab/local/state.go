package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Lock makes the state directory and takes it for this process. The lock goes
// with the process, however that ends.
func Lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Join(dir, "logs"), 0o755); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer file.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("state directory: locking %s: %w", file.Name(), err)
		}
		owner, _ := os.ReadFile(file.Name())
		return nil, fmt.Errorf("another fleet runs in %s (process %s): stop it, or take another directory with --state, and other addresses with --network and --node-address",
			dir, strings.TrimSpace(string(owner)))
	}
	if err = file.Truncate(0); err == nil {
		_, err = fmt.Fprintln(file, os.Getpid())
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("state directory: %w", err)
	}
	return func() { file.Close() }, nil
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

// writeSecret makes a file that only this user can read, also where there was
// one that others could.
func writeSecret(path, text string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
