package main

import "syscall"

// A service must not outlive the bench, even when that is killed.
var childAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
