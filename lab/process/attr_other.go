//go:build !linux

package process

import "syscall"

var childAttr = func() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
