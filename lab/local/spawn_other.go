//go:build !linux

package local

import "syscall"

var childAttr = func() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
