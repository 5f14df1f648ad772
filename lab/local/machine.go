package local

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"

	"fleetman.example/lab/tcp"
)

// thisHost returns the ports of this machine.
func thisHost() host {
	return host{firstUnprivileged: firstUnprivilegedPort(), freePort: freePort}
}

// firstUnprivilegedPort returns the first port that this user may listen on: 0 for root. macOS has let everyone have all ports
// since 10.14, but only on all addresses at once, so 1024 counts there.
func firstUnprivilegedPort() int {
	if os.Geteuid() == 0 {
		return 0
	}
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err == nil {
		if first, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return first
		}
	}
	return 1024
}

// freePort returns wanted if it is free, or another free port.
func freePort(ip netip.Addr, wanted int) (int, error) {
	listener, err := tcp.Listen(netip.AddrPortFrom(ip, uint16(wanted)).String())
	if err != nil {
		if listener, err = net.Listen("tcp", netip.AddrPortFrom(ip, 0).String()); err != nil {
			return 0, explainListen(err, ip, "--network")
		}
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// missingAddress returns the error for a network whose addresses the system does not have.
func missingAddress(ip netip.Addr, network netip.Prefix, pods int, system string) error {
	if system == "darwin" && network.Masked().Addr().Is4() {
		bytes := network.Masked().Addr().As4()
		if int(bytes[3])+pods <= 255 {
			return fmt.Errorf("this system has no address %s; add the pods' addresses once with: for n in $(seq %d %d); do sudo ifconfig lo0 alias %d.%d.%d.$n up; done",
				ip, bytes[3], int(bytes[3])+pods, bytes[0], bytes[1], bytes[2])
		}
	}
	return fmt.Errorf("this system has no address %s; give --network a loopback network, such as 127.0.1.0/24", ip)
}

// explainListen adds what to do to the error of net.Listen.
func explainListen(err error, ip netip.Addr, flag string) error {
	var op *net.OpError
	if !errors.As(err, &op) || op.Addr == nil {
		return err
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use: stop the program that listens there, or take other addresses with %s", op.Addr, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("this system has no address %s; choose another with %s", ip, flag)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s needs root: a port below %d is refused to other users", op.Addr, firstUnprivilegedPort())
	}
	return err
}
