package local

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"

	"fleetman.example/lab/wants"
)

func TestParseConnect(t *testing.T) {
	for text, want := range map[string]ConnectFault{
		"connect=refuse":                {Kind: ConnectRefuse, Rate: 1},
		"connect=drop,for=10s":          {Kind: ConnectDrop, Rate: 1, For: 10 * time.Second},
		"connect=hang,rate=0.5,count=3": {Kind: ConnectHang, Rate: .5, Count: 3},
		" rate=0 , connect=delay:2s ":   {Kind: ConnectDelay, Delay: 2 * time.Second},
		"connect=cut:0":                 {Kind: ConnectCut, Rate: 1},
		"connect=hang,from=127.0.0.9":   {Kind: ConnectHang, Rate: 1, From: netip.MustParseAddr("127.0.0.9")},
	} {
		want.text = strings.TrimSpace(text)
		if got, err := ParseConnect(text); err != nil || got != want || !IsConnect(text) {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
	const kinds = "must be refuse, drop, hang, delay:D such as delay:2s, or cut:N such as cut:100"
	for text, want := range map[string]string{
		"connect":                     `connect: "": ` + kinds,
		"connect=fail":                `connect: "fail": ` + kinds,
		"connect=refuse:1":            `connect: "refuse:1": ` + kinds,
		"connect=delay":               `connect: "delay": ` + kinds,
		"connect=delay:0s":            `connect: "delay:0s": ` + kinds,
		"connect=cut:-1":              `connect: "cut:-1": ` + kinds,
		"connect=refuse,rate=0.5":     "rate: with connect=refuse: must be with hang, delay or cut: the kernel answers for all connections",
		"connect=drop,count=1":        "count: with connect=drop: must be with hang, delay or cut: the kernel answers for all connections",
		"connect=hang,rate=NaN":       `rate: "NaN": must be a share from 0 to 1`,
		"connect=hang,count=0":        `count: "0": must be a whole number from 1`,
		"connect=hang,from=here":      `from: "here": must be the caller's address, such as 127.0.1.5`,
		"connect=drop,from=127.0.0.9": "from: with connect=drop: must be with hang, delay or cut: the kernel answers for all connections",
		"connect=hang,for=0s":         `for: "0s": must be a duration such as 10s`,
		"connect=hang,path=/x":        `path: "/x": must be a field of a rule with connect: connect, from, rate, count, for`,
		"connect=hang,connect=hang":   "connect: given twice: must be given once",
		"connect=hang;connect=refuse": "connect=hang;connect=refuse: must be one rule of connect for each pod",
	} {
		_, err := ParseConnect(text)
		wants.Error(t, text, err, want)
	}
	assert.False(t, IsConnect("status=502,path=/connect"), "a rule of requests")
}

// echo answers each line with "0123456789".
func echo(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for line := make([]byte, 1); ; {
					if _, err := conn.Read(line); err != nil {
						return
					}
					_, _ = io.WriteString(conn, "0123456789")
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// TestAddConnect: the faults of a pod have those of its connections, in any namespace.
func TestAddConnect(t *testing.T) {
	fault, err := ParseConnect("connect=hang")
	require.NoError(t, err)
	f := &Fleet{pods: []*pod{
		{plan: &podPlan{MeshPod: MeshPod{ID: "a-0", Deployment: &appsv1.Deployment{}}}, relay: &relay{}},
		{plan: &podPlan{MeshPod: MeshPod{ID: "shop/a-0", Deployment: &appsv1.Deployment{}}}, relay: &relay{fault: &fault}},
	}}
	for _, test := range []struct{ name, faults, want string }{
		{"a-0", "status=502", "status=502"},
		{"shop/a-0", "status=502", "status=502;connect=hang"},
		{"shop/a-0", "", "connect=hang"},
		{"gone", "", ""},
	} {
		pod := Pod{Name: test.name, Faults: test.faults}
		f.AddConnect(&pod)
		assert.Equal(t, test.want, pod.Faults, test.name)
	}
}

// TestRelayFrom has a fault for one caller only.
func TestRelayFrom(t *testing.T) {
	r, err := newRelay("127.0.0.1:0", echo(t))
	require.NoError(t, err)
	defer r.close()
	address := r.listener.Addr().String()
	for from, want := range map[string]struct {
		got   string
		fired int64
	}{"127.0.0.1": {"0123", 1}, "127.0.0.9": {"0123456789", 0}} {
		fault, err := ParseConnect("connect=cut:4,from=" + from)
		require.NoError(t, err)
		r.mu.Lock()
		r.fault, r.fired = &fault, 0
		r.mu.Unlock()
		if got, _ := exchange(address, patience, patience); got != want.got || r.state().Fired != want.fired {
			t.Errorf("from %s: got %q, fired %d, want %q, %d", from, got, r.state().Fired, want.got, want.fired)
		}
	}
}

// exchange is what a caller gets of ten bytes, within a time for the connection and one for the rest.
func exchange(address string, connect, within time.Duration) (string, error) {
	conn, err := net.DialTimeout("tcp", address, connect)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(within))
	if _, err := conn.Write([]byte("x")); err != nil {
		return "", err
	}
	got := make([]byte, 10)
	n, err := io.ReadFull(conn, got)
	return string(got[:n]), err
}

func TestRelay(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	free.Close()
	r, err := newRelay(address, echo(t))
	require.NoError(t, err)
	defer r.close()
	isTimeout := func(err error) bool {
		var timeout net.Error
		return errors.As(err, &timeout) && timeout.Timeout()
	}
	passes := func(after string) {
		t.Helper()
		if got, err := exchange(address, patience, patience); err != nil || got != "0123456789" {
			t.Errorf("%s: got %q, %v", after, got, err)
		}
	}
	const short = 300 * time.Millisecond
	for _, test := range []struct {
		rule            string
		connect, within time.Duration
		seen            func(got string, took time.Duration, err error) bool
		fired           int64 // of two connections
	}{
		{"connect=refuse", patience, patience, func(_ string, _ time.Duration, err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }, 0},
		{"connect=drop", short, patience, func(_ string, _ time.Duration, err error) bool {
			var op *net.OpError
			return isTimeout(err) && errors.As(err, &op) && op.Op == "dial"
		}, 0},
		{"connect=hang,count=2", patience, short, func(got string, _ time.Duration, err error) bool {
			var op *net.OpError
			return isTimeout(err) && errors.As(err, &op) && op.Op == "read" && got == ""
		}, 2},
		{"connect=delay:100ms,count=2", patience, patience, func(got string, took time.Duration, err error) bool {
			return err == nil && got == "0123456789" && took >= 100*time.Millisecond
		}, 2},
		{"connect=cut:4,count=2", patience, patience, func(got string, _ time.Duration, err error) bool {
			return errors.Is(err, syscall.ECONNRESET) && (got == "0123" || got == "")
		}, 2},
	} {
		passes("before " + test.rule)
		open, err := net.Dial("tcp", address)
		require.NoError(t, err)
		_, err = open.Write([]byte("x"))
		require.NoError(t, err)
		_, err = io.ReadFull(open, make([]byte, 10))
		require.NoError(t, err)
		fault, err := ParseConnect(test.rule)
		require.NoError(t, err)
		require.NoError(t, r.set(&fault))
		_, err = open.Read(make([]byte, 1))
		assert.ErrorIs(t, err, syscall.ECONNRESET, test.rule+": an open connection")
		open.Close()
		for range 2 {
			began := time.Now()
			if got, err := exchange(address, test.connect, test.within); !test.seen(got, time.Since(began), err) {
				t.Errorf("%s: got %q, %v", test.rule, got, err)
			}
		}
		// a caller of a relay that hangs may leave before the relay has accepted the connection
		assert.Eventually(t, func() bool { return r.state().Fired >= test.fired }, patience, time.Millisecond, test.rule)
		state := r.state()
		assert.Equal(t, []any{test.rule, test.fired}, []any{state.Rule, state.Fired}, "rule and number of faults")
		if fault.Count > 0 {
			passes("after the last one of " + test.rule)
		}
		require.NoError(t, r.set(nil))
	}
	passes("at the end")
	assert.Equal(t, ConnectState{}, r.state(), "at the end")
}
