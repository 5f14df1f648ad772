package faults

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fleetman.example/lab/local"
	"fleetman.example/lab/process"
	"fleetman.example/lab/scrape"
)

// Check is the verification of one kind of fault, with the counts of the pod and of its caller.
type Check struct {
	Kind string `json:"kind"`
	// Proxied reports whether the caller's requests go through the pod's proxy.
	Proxied  bool   `json:"proxied"`
	Set      int    `json:"set"`      // the rule's count
	Injected int    `json:"injected"` // faults that the pod counted
	Seen     int    `json:"seen"`     // faults that the caller observed
	Problem  string `json:"problem,omitempty"`

	instead met // the last outcome that was not the fault
}

// OK reports whether all counts are equal.
func (c Check) OK() bool { return c.Problem == "" }

// header marks the requests of a verification, so that other requests do not meet its faults.
const header = "X-Fleetman-Verify"

// kind is a kind of fault.
type kind struct {
	name, rule string
	times      int // the rule's count; as many requests after that must succeed
	met        func(met) bool
	// fault is the kind of kit/fault. Defaults to the name.
	fault string
	// free is the number of requests before the first fault.
	free int
	// cutsOff reports whether the fault closes the connection without a response. A proxy sends a response
	// of its own instead.
	cutsOff bool
	// rises reports whether the fault's rate rises to 1: before the first fault, requests may succeed.
	rises bool
}

// seen reports whether m is the outcome of the fault at a caller.
func (k kind) seen(m met, proxied bool) bool {
	if proxied && k.cutsOff {
		return m.fromProxy()
	}
	return k.met(m)
}

// met is the outcome of a request at its caller.
type met struct {
	status int
	header http.Header
	body   string
	err    error // of the request or of reading the body
	took   time.Duration
}

func (m met) String() string {
	text := fmt.Sprintf("status %d, %d bytes, %.60q, after %s", m.status, len(m.body), m.body, m.took.Round(time.Millisecond))
	if m.err != nil {
		text = fmt.Sprintf("%v after %s", m.err, m.took.Round(time.Millisecond))
	}
	return text
}

// unharmed reports whether m is the outcome without a fault: a 404, as the path is unknown.
func (m met) unharmed() bool {
	return m.err == nil && m.status == http.StatusNotFound && m.header.Get("X-Fault") == "" && m.body != ""
}

func (m met) isFault(kind string) bool { return m.header.Get("X-Fault") == kind }

// refused reports whether a fault answered with 503 and no body.
func (m met) refused(kind string) bool {
	return m.err == nil && m.status == http.StatusServiceUnavailable && m.isFault(kind) && m.body == ""
}

// fromProxy reports whether the response is Envoy's own, because the program closed the connection
// (response flag UC) or does not listen (UF).
func (m met) fromProxy() bool {
	return m.err == nil && m.status == http.StatusServiceUnavailable && m.header.Get("X-Fault") == "" &&
		strings.HasPrefix(m.body, "upstream connect error or disconnect/reset before headers")
}

// timedOut reports whether the caller gave up waiting.
func (m met) timedOut() bool {
	var timeout net.Error
	return errors.As(m.err, &timeout) && timeout.Timeout() && m.took >= hangs
}

const (
	// hangs is the time-out of requests that meet the fault hang. A pod on the same machine responds within
	// a hundredth of it.
	hangs = time.Second
	// patience is the time-out of all other requests, long enough for a busy machine.
	patience = 10 * time.Second
)

var kinds = []kind{
	{name: "delay", rule: "delay=100ms", times: 3, met: func(m met) bool {
		return m.err == nil && m.status != 0 && m.isFault("delay") && m.took >= 100*time.Millisecond
	}},
	{name: "status", rule: "status=503,retry-after=7s", times: 3, met: func(m met) bool {
		return m.refused("status") && m.header.Get("Retry-After") == "7"
	}},
	{name: "rate", fault: "status", rule: "status=503,rate=0..1,over=200ms", times: 3, rises: true, met: func(m met) bool { return m.refused("status") }},
	{name: "reset", rule: "reset", times: 3, cutsOff: true, met: func(m met) bool { return errors.Is(m.err, syscall.ECONNRESET) }},
	{name: "hang", rule: "hang", times: 2, met: met.timedOut},
	{name: "truncate", rule: "truncate=5", times: 3, met: func(m met) bool {
		return m.isFault("truncate") && len(m.body) == 5 && errors.Is(m.err, io.ErrUnexpectedEOF)
	}},
	{name: "slow", rule: "slow=500", times: 3, met: func(m met) bool { // it writes every 100 ms
		return m.isFault("slow") && m.err == nil && m.took >= time.Duration(len(m.body))*time.Second/500-100*time.Millisecond
	}},
	{name: "capacity", rule: "capacity=0.001,queue=0", times: 3, free: 1, met: func(m met) bool { return m.refused("capacity") }},
	{name: "idle", rule: "idle=50ms", times: 3, met: func(m met) bool {
		return errors.Is(m.err, errClosed) && m.status == http.StatusNotFound && m.header.Get("X-Fault") == "" && m.took >= 50*time.Millisecond
	}},
	{name: "crash", rule: "crash", times: 1, cutsOff: true, met: func(m met) bool {
		return m.status == 0 && (errors.Is(m.err, io.EOF) || errors.Is(m.err, syscall.ECONNRESET))
	}},
}

// connects are the faults of connections whose injections the launcher counts. The kernel refuses and drops
// connections uncounted.
var connects = []kind{
	{name: "connect=hang", rule: "connect=hang", times: 2, met: met.timedOut},
	{name: "connect=delay", rule: "connect=delay:100ms", times: 3, met: func(m met) bool {
		return m.unharmed() && m.took >= 100*time.Millisecond
	}},
	{name: "connect=cut", rule: "connect=cut:0", times: 3, met: func(m met) bool {
		return m.status == 0 && (errors.Is(m.err, syscall.ECONNRESET) || errors.Is(m.err, io.EOF))
	}},
}

// Verifier verifies the faults of a pod of a running fleet.
type Verifier struct {
	Access
	Pod func(context.Context) (local.Pod, error) // returns the pod's current state
}

// dial connects to the pod's program or to its proxy.
func (v Verifier) dial(ctx context.Context, pod local.Pod, proxied bool, address string) (net.Conn, error) {
	dial := v.Dial
	if proxied && v.DialProxy != nil {
		dial = v.DialProxy
	}
	if dial == nil {
		// from the pod's own address, which no other caller has: so a rule can name the connections of a verification
		dial = (&net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(pod.Address)}}).DialContext
	}
	return dial(ctx, "tcp", address)
}

// Run sets each kind of fault in turn, sends requests and compares the counts: at the program's own port
// and, for a pod with a proxy, also through the proxy. When the mesh's rules refuse callers from outside
// the mesh, Run skips the proxy, and the note is the reason. For a pod with a relay, Run also verifies the
// faults of connections. At the end Run restores the pod's rules; their counters start at 0.
func (v Verifier) Run(ctx context.Context) (checks []Check, note string, err error) {
	pod, err := v.Pod(ctx)
	if err != nil {
		return nil, "", err
	}
	if pod.Port == 0 {
		return nil, "", fmt.Errorf("pod %s: it has no port for requests", pod.Name)
	}
	before, err := v.Get(ctx, pod)
	if err != nil {
		return nil, "", err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		_, restored := v.Set(ctx, pod, before.Text())
		if restored != nil {
			restored = fmt.Errorf("restore the rules of the pod: %w", restored)
		}
		err = errors.Join(err, restored)
	}()
	type way struct {
		proxied bool
		kinds   []kind
	}
	ways := []way{{false, kinds}}
	if pod.AppAddress != "" {
		if _, err := v.Client.Clear(ctx, pod); err != nil { // or its faults would affect the request
			return nil, "", err
		}
		if note = v.refused(ctx, pod); note == "" {
			ways = append(ways, way{true, kinds})
		}
	}
	if pod.Relayed && note == "" {
		ways = append(ways, way{pod.AppAddress != "", connects})
	}
	for _, w := range ways {
		if pod, err = v.Pod(ctx); err != nil { // the number of restarts has changed
			return checks, note, err
		}
		for _, k := range w.kinds {
			check, err := v.check(ctx, pod, k, w.proxied)
			if err != nil {
				return checks, note, err
			}
			checks = append(checks, check)
		}
	}
	return checks, note, nil
}

// refused returns why the pod's proxy refuses a caller from outside the mesh, such as strict mutual TLS or
// an AuthorizationPolicy. It returns "" when the proxy accepts one.
func (v Verifier) refused(ctx context.Context, pod local.Pod) string {
	if v.Dial != nil && v.DialProxy == nil {
		return fmt.Sprintf("proxy of %s skipped: it is not reached from outside the cluster", pod.Name)
	}
	m := v.get(ctx, pod, "none", true, patience)
	switch {
	case m.err != nil:
		return fmt.Sprintf("proxy of %s skipped: it refuses a caller from outside the mesh: %v", pod.Name, m.err)
	case m.status != http.StatusNotFound:
		return fmt.Sprintf("proxy of %s skipped: its response to a caller from outside the mesh is %d %.100s", pod.Name, m.status, strings.TrimSpace(m.body))
	}
	return ""
}

func (v Verifier) check(ctx context.Context, pod local.Pod, k kind, proxied bool) (Check, error) {
	check := Check{Kind: k.name, Proxied: proxied, Set: k.times}
	counted, err := v.counted(ctx, pod, cmp.Or(k.fault, k.name))
	if err != nil {
		return check, err
	}
	mark := "header=" + header + ":" + k.name
	if local.IsConnect(k.rule) {
		mark = "from=" + pod.Address
	}
	if _, err := v.Set(ctx, pod, fmt.Sprintf("%s,count=%d,%s", k.rule, k.times, mark)); err != nil {
		return check, err
	}
	if err := v.see(ctx, pod, k, &check); err != nil {
		return check, err
	}
	if k.name == "crash" {
		return v.afterCrash(ctx, pod, check)
	}
	failed := v.succeed(ctx, pod, k, proxied)
	state, err := v.Get(ctx, pod)
	if err != nil {
		return check, err
	}
	check.Injected = state.fired()
	after, err := v.counted(ctx, pod, cmp.Or(k.fault, k.name))
	if err != nil {
		return check, err
	}
	check.judge(k, failed)
	if check.Problem == "" && after-counted != k.times && !local.IsConnect(k.rule) {
		check.Problem = fmt.Sprintf("counted in its metrics %d: must be %d", after-counted, k.times)
	}
	return check, nil
}

// succeed sends the requests after the last fault, and returns how many meet a fault all the same.
func (v Verifier) succeed(ctx context.Context, pod local.Pod, k kind, proxied bool) (failed int) {
	for range k.times {
		if m := v.get(ctx, pod, k.name, proxied, patience); m.err != nil || m.header.Get("X-Fault") != "" {
			failed++
		}
	}
	return failed
}

// see sends the requests that meet the fault and counts the outcomes.
func (v Verifier) see(ctx context.Context, pod local.Pod, k kind, check *Check) error {
	for range k.free {
		if m := v.get(ctx, pod, k.name, check.Proxied, patience); !m.unharmed() {
			return fmt.Errorf("pod %s: %s: the request before the first fault: %s", pod.Name, k.name, m)
		}
	}
	for range k.times {
		if m := v.meet(ctx, pod, k, check.Proxied); k.seen(m, check.Proxied) {
			check.Seen++
		} else {
			check.instead = m
		}
	}
	return nil
}

// meet is a request that is to meet a fault of a kind.
func (v Verifier) meet(ctx context.Context, pod local.Pod, k kind, proxied bool) met {
	switch {
	case k.name == "hang", k.name == "connect=hang":
		return v.get(ctx, pod, k.name, proxied, hangs)
	case k.name == "idle" && proxied:
		return v.getUntilClosed(ctx, pod, k.name)
	case k.name == "idle":
		return v.getAndKeep(ctx, pod, k.name)
	case k.rises:
		deadline := time.Now().Add(patience)
		for {
			if m := v.get(ctx, pod, k.name, proxied, patience); !m.unharmed() || time.Now().After(deadline) {
				return m
			}
		}
	}
	return v.get(ctx, pod, k.name, proxied, patience)
}

func (c *Check) judge(k kind, failed int) {
	switch {
	case c.Injected != c.Set:
		c.Problem = fmt.Sprintf("injected %d: must be %d", c.Injected, c.Set)
	case c.Seen != c.Set:
		c.Problem = fmt.Sprintf("seen %d: must be %d; another outcome was %s", c.Seen, c.Set, c.instead)
	case failed > 0:
		c.Problem = fmt.Sprintf("%d of %d requests after the last fault failed, too", failed, k.times)
	}
}

// afterCrash waits until the pod is ready again and counts its crashes, which the ended process cannot.
func (v Verifier) afterCrash(ctx context.Context, before local.Pod, check Check) (Check, error) {
	limit := cmp.Or(v.RestartTimeout, 30*time.Second)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("pod %s: not ready %s after its crash", before.Name, limit))
	defer cancel()
	for {
		now, err := v.Pod(ctx)
		if err != nil {
			return check, err
		}
		check.Injected = now.Restarts - before.Restarts
		if now.Ready && check.Injected > 0 {
			check.judge(kind{}, 0)
			return check, nil
		}
		if now.Ready && now.PID == before.PID && check.Seen == 0 {
			check.judge(kind{}, 0)
			return check, nil // it has not crashed
		}
		if err := process.Sleep(ctx, 20*time.Millisecond); err != nil {
			return check, err
		}
	}
}

// counted returns the number of faults of a kind in the pod's metrics.
func (v Verifier) counted(ctx context.Context, pod local.Pod, kind string) (int, error) {
	samples, err := scrape.Get(ctx, &v.Client.HTTP, Admin(pod), "fleetman_faults_total")
	sum := 0
	for _, s := range samples {
		if string(s.Metric["fleetman_fault"]) == kind {
			sum += int(s.Value)
		}
	}
	return sum, err
}

// newRequest returns a request of a verification to the pod, or to the program behind its proxy. No service
// has its path, so the response is a 404, which has a body.
func newRequest(ctx context.Context, pod local.Pod, kind string, proxied bool) *http.Request {
	at := net.JoinHostPort(pod.Address, strconv.Itoa(pod.Port))
	if pod.AppAddress != "" && !proxied {
		at = pod.AppAddress
	}
	request := http.Request{
		Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: at, Path: "/fleetman-verify"}, Header: http.Header{header: {kind}},
	}
	return request.WithContext(ctx)
}

// get sends a request on a new connection.
func (v Verifier) get(ctx context.Context, pod local.Pod, kind string, proxied bool, wait time.Duration) met {
	dial := func(ctx context.Context, _, address string) (net.Conn, error) {
		return v.dial(ctx, pod, proxied, address)
	}
	client := http.Client{Timeout: wait, Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}
	began := time.Now()
	response, err := client.Do(newRequest(ctx, pod, kind, proxied))
	if err != nil {
		return met{err: err, took: time.Since(began)}
	}
	defer response.Body.Close()
	var body strings.Builder
	_, err = io.Copy(&body, response.Body)
	return met{response.StatusCode, response.Header, body.String(), err, time.Since(began)}
}

// errClosed is the error of getAndKeep when the pod closes the connection.
var errClosed = errors.New("connection closed after the response")

// getAndKeep sends a request on a new connection and keeps the connection open after the response, until
// the pod closes it or patience ends.
func (v Verifier) getAndKeep(ctx context.Context, pod local.Pod, kind string) met {
	request := newRequest(ctx, pod, kind, false)
	conn, err := v.dial(ctx, pod, false, request.URL.Host)
	if err != nil {
		return met{err: err}
	}
	defer conn.Close()
	began := time.Now()
	_ = conn.SetDeadline(began.Add(patience)) // a connection of TCP or of a tunnel has deadlines
	if err = request.Write(conn); err != nil {
		return met{err: err}
	}
	read := bufio.NewReader(conn)
	response, err := http.ReadResponse(read, request)
	if err != nil {
		return met{err: err}
	}
	defer response.Body.Close()
	var body strings.Builder
	_, err = io.Copy(&body, response.Body)
	if err == nil {
		if _, err = read.ReadByte(); errors.Is(err, io.EOF) && !response.Close {
			err = errClosed
		}
	}
	return met{response.StatusCode, response.Header, body.String(), err, time.Since(began)}
}

// getUntilClosed sends a request through the proxy, and waits until the pod has closed the connection between
// the two, which it counts. The proxy keeps that connection for the next request, whoever sends it: a request
// before the closing would postpone it, and the rule would fire once for several requests.
func (v Verifier) getUntilClosed(ctx context.Context, pod local.Pod, kind string) met {
	before, err := v.Client.Get(ctx, pod)
	if err != nil {
		return met{err: err}
	}
	began := time.Now()
	m := v.get(ctx, pod, kind, true, patience)
	for m.err == nil && time.Since(began) < patience {
		now, err := v.Client.Get(ctx, pod)
		switch {
		case err != nil:
			m.err = err
		case now.fired() > before.fired():
			m.err = errClosed
		default:
			time.Sleep(5 * time.Millisecond)
		}
	}
	m.took = time.Since(began)
	return m
}
