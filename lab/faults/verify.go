package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fleetman.example/lab/local"
	"fleetman.example/lab/scrape"
)

// Check is one kind of fault, counted at both ends.
type Check struct {
	Kind string `json:"kind"`
	// Proxied is true for a caller that reaches the pod through its proxy.
	Proxied  bool   `json:"proxied"`
	Set      int    `json:"set"`      // how often the rule was to fire
	Injected int    `json:"injected"` // how often the pod counted that it fired
	Seen     int    `json:"seen"`     // how often a caller met it
	Problem  string `json:"problem,omitempty"`

	instead met // the last answer that was not the fault
}

// OK reports whether both ends agree with what was set.
func (c Check) OK() bool { return c.Problem == "" }

// header marks the requests of a verification, so that nobody else's meet its
// faults.
const header = "X-Fleetman-Verify"

// kind is one fault and how a caller knows it. times is how often it is to
// fire; as many requests after that have to pass unharmed.
type kind struct {
	name, rule string
	times      int
	met        func(met) bool
	// free is how many requests come before the first fault.
	free int
	// cutsOff: the connection ends without an answer, which a proxy turns into
	// one of its own.
	cutsOff bool
	// hidden: a proxy keeps it from its callers.
	hidden bool
}

// seen reports whether m is what a caller sees of the fault.
func (k kind) seen(m met, proxied bool) bool {
	switch {
	case proxied && k.cutsOff:
		return m.fromProxy()
	case proxied && k.hidden:
		return m.unharmed()
	}
	return k.met(m)
}

// met is what a caller was answered.
type met struct {
	status int
	header http.Header
	body   string
	err    error // also of reading the body
	took   time.Duration
}

func (m met) String() string {
	text := fmt.Sprintf("status %d, %d bytes, %.60q, after %s", m.status, len(m.body), m.body, m.took.Round(time.Millisecond))
	if m.err != nil {
		text = fmt.Sprintf("%v after %s", m.err, m.took.Round(time.Millisecond))
	}
	return text
}

// unharmed reports whether m is the answer of a pod without faults to an
// unknown path.
func (m met) unharmed() bool {
	return m.err == nil && m.status == http.StatusNotFound && m.header.Get("X-Fault") == "" && m.body != ""
}

func (m met) says(kind string) bool { return m.header.Get("X-Fault") == kind }

// fromProxy reports whether Envoy answered in place of a program that cut the
// connection off (response flag UC) or was not there any more (UF).
func (m met) fromProxy() bool {
	return m.err == nil && m.status == http.StatusServiceUnavailable && m.header.Get("X-Fault") == "" &&
		strings.HasPrefix(m.body, "upstream connect error or disconnect/reset before headers")
}

// hangs is how long a caller of hang waits: an answer of a pod on the same
// machine takes a hundredth of it. The others wait for a busy machine too.
const (
	hangs    = time.Second
	patience = 10 * time.Second
)

var kinds = []kind{
	{name: "delay", rule: "delay=100ms", times: 3, met: func(m met) bool {
		return m.err == nil && m.status != 0 && m.says("delay") && m.took >= 100*time.Millisecond
	}},
	{name: "status", rule: "status=503,retry-after=7s", times: 3, met: func(m met) bool {
		return m.err == nil && m.status == 503 && m.says("status") && m.header.Get("Retry-After") == "7" && m.body == ""
	}},
	{name: "reset", rule: "reset", times: 3, cutsOff: true, met: func(m met) bool { return errors.Is(m.err, syscall.ECONNRESET) }},
	{name: "hang", rule: "hang", times: 2, met: func(m met) bool {
		var timeout net.Error
		return errors.As(m.err, &timeout) && timeout.Timeout() && m.took >= hangs
	}},
	{name: "truncate", rule: "truncate=5", times: 3, met: func(m met) bool {
		return m.says("truncate") && len(m.body) == 5 && errors.Is(m.err, io.ErrUnexpectedEOF)
	}},
	{name: "slow", rule: "slow=500", times: 3, met: func(m met) bool { // it sends a piece every 100 ms
		return m.says("slow") && m.err == nil && m.took >= time.Duration(len(m.body))*time.Second/500-100*time.Millisecond
	}},
	{name: "capacity", rule: "capacity=0.001,queue=0", times: 3, free: 1, met: func(m met) bool {
		return m.err == nil && m.status == 503 && m.says("capacity") && m.body == ""
	}},
	{name: "idle", rule: "idle=50ms", times: 3, hidden: true, met: func(m met) bool {
		return errors.Is(m.err, errClosed) && m.status == http.StatusNotFound && m.header.Get("X-Fault") == "" && m.took >= 50*time.Millisecond
	}},
	{name: "crash", rule: "crash", times: 1, cutsOff: true, met: func(m met) bool {
		return m.status == 0 && (errors.Is(m.err, io.EOF) || errors.Is(m.err, syscall.ECONNRESET))
	}},
}

// Verifier checks the faults of one pod of a running fleet.
type Verifier struct {
	Client *Client
	Pod    func(context.Context) (local.Pod, error) // as it is now
}

// Run sets every kind of fault in turn, meets it as a caller and counts: at the
// program's own port and, where a proxy stands before it, through the proxy too,
// unless the mesh's rules refuse such a caller: the note says so. The rules that
// were there are in force again at its end, with counts of 0.
func (v Verifier) Run(ctx context.Context) (checks []Check, note string, err error) {
	pod, err := v.Pod(ctx)
	if err != nil {
		return nil, "", err
	}
	if pod.Port == 0 {
		return nil, "", fmt.Errorf("pod %s: it takes no requests", pod.Name)
	}
	before, err := v.Client.Get(ctx, pod)
	if err != nil {
		return nil, "", err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		_, restored := v.Client.Set(ctx, pod, before.Text())
		if restored != nil {
			restored = fmt.Errorf("the rules that were there are not in force any more: %w", restored)
		}
		err = errors.Join(err, restored)
	}()
	ways := []bool{false}
	if pod.AppAddress != "" {
		if _, err := v.Client.Clear(ctx, pod); err != nil { // they would meet the question
			return nil, "", err
		}
		if note = refused(ctx, pod); note == "" {
			ways = append(ways, true)
		}
	}
	for _, proxied := range ways {
		if pod, err = v.Pod(ctx); err != nil { // its restarts are counted
			return checks, note, err
		}
		for _, k := range kinds {
			check, err := v.check(ctx, pod, k, proxied)
			if err != nil {
				return checks, note, err
			}
			checks = append(checks, check)
		}
	}
	return checks, note, nil
}

// refused is why the pod's proxy lets no caller of the verification through,
// empty when it does: mutual TLS may be strict, or a policy may forbid it.
func refused(ctx context.Context, pod local.Pod) string {
	m := ask(ctx, pod, "none", true, patience)
	switch {
	case m.err != nil:
		return fmt.Sprintf("not through the proxy of %s: it refuses a caller outside the mesh: %v", pod.Name, m.err)
	case m.status != http.StatusNotFound:
		return fmt.Sprintf("not through the proxy of %s: it answers a caller outside the mesh with %d %.100s", pod.Name, m.status, strings.TrimSpace(m.body))
	}
	return ""
}

func (v Verifier) check(ctx context.Context, pod local.Pod, k kind, proxied bool) (Check, error) {
	check := Check{Kind: k.name, Proxied: proxied, Set: k.times}
	counted, err := v.counted(ctx, pod, k.name)
	if err != nil {
		return check, err
	}
	rule := fmt.Sprintf("%s,count=%d,header=%s:%s", k.rule, k.times, header, k.name)
	if _, err := v.Client.Set(ctx, pod, rule); err != nil {
		return check, err
	}
	if err := v.see(ctx, pod, k, &check); err != nil {
		return check, err
	}
	if k.name == "crash" {
		return v.afterCrash(ctx, pod, check)
	}
	harmed := 0
	for range k.times {
		if m := ask(ctx, pod, k.name, proxied, patience); m.err != nil || m.header.Get("X-Fault") != "" {
			harmed++
		}
	}
	state, err := v.Client.Get(ctx, pod)
	if err != nil {
		return check, err
	}
	check.Injected = state.fired()
	after, err := v.counted(ctx, pod, k.name)
	if err != nil {
		return check, err
	}
	check.judge()
	switch {
	case check.Problem != "":
	case harmed > 0:
		check.Problem = fmt.Sprintf("%d of %d requests after the last fault were harmed too", harmed, k.times)
	case after-counted != k.times:
		check.Problem = fmt.Sprintf("its metrics say %d", after-counted)
	}
	return check, nil
}

// see makes the requests that meet the fault.
func (v Verifier) see(ctx context.Context, pod local.Pod, k kind, check *Check) error {
	for range k.free {
		if m := ask(ctx, pod, k.name, check.Proxied, patience); !m.unharmed() {
			return fmt.Errorf("pod %s: %s: the request before the first fault: %s", pod.Name, k.name, m)
		}
	}
	for n := range k.times {
		m, err := v.meet(ctx, pod, k, check.Proxied, n+1)
		if err != nil {
			return err
		}
		if k.seen(m, check.Proxied) {
			check.Seen++
		} else {
			check.instead = m
		}
	}
	return nil
}

// meet is the request that is to meet the nth fault of a kind.
func (v Verifier) meet(ctx context.Context, pod local.Pod, k kind, proxied bool, n int) (met, error) {
	switch {
	case k.name == "hang":
		return ask(ctx, pod, k.name, proxied, hangs), nil
	case k.name == "idle" && !proxied:
		return askAndKeep(ctx, pod, k.name), nil
	case k.name == "idle":
		m := ask(ctx, pod, k.name, proxied, patience)
		return m, v.awaitFired(ctx, pod, n)
	}
	return ask(ctx, pod, k.name, proxied, patience), nil
}

// awaitFired waits until the pod's rules have fired n times, or patience ends.
func (v Verifier) awaitFired(ctx context.Context, pod local.Pod, n int) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		state, err := v.Client.Get(ctx, pod)
		if err != nil || state.fired() >= n {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (c *Check) judge() {
	switch {
	case c.Injected != c.Set:
		c.Problem = fmt.Sprintf("injected %d: must be %d", c.Injected, c.Set)
	case c.Seen != c.Set:
		c.Problem = fmt.Sprintf("a caller saw %d: must be %d; it got %s", c.Seen, c.Set, c.instead)
	}
}

// afterCrash counts what the pod itself cannot: its process is gone. It waits
// until the pod is back.
func (v Verifier) afterCrash(ctx context.Context, before local.Pod, check Check) (Check, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, fmt.Errorf("pod %s: not back 30 s after its crash", before.Name))
	defer cancel()
	for {
		now, err := v.Pod(ctx)
		if err != nil {
			return check, err
		}
		check.Injected = now.Restarts - before.Restarts
		if now.Ready && check.Injected > 0 {
			check.judge()
			return check, nil
		}
		if now.Ready && now.PID == before.PID && check.Seen == 0 {
			check.judge()
			return check, nil // it has not crashed
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return check, context.Cause(ctx)
		}
	}
}

// counted is how many faults of a kind the pod's metrics have.
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

// newRequest is a request of a verification to the pod, or to the program behind
// its proxy. The path is known nowhere: its answer is the pod's 404, which has a
// body.
func newRequest(ctx context.Context, pod local.Pod, kind string, proxied bool) (*http.Request, error) {
	at := net.JoinHostPort(pod.Address, strconv.Itoa(pod.Port))
	if pod.AppAddress != "" && !proxied {
		at = pod.AppAddress
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/fleetman-verify", nil)
	if err == nil {
		request.Header.Set(header, kind)
	}
	return request, err
}

// ask is one caller with a connection of its own.
func ask(ctx context.Context, pod local.Pod, kind string, proxied bool, wait time.Duration) met {
	client := http.Client{Timeout: wait, Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := newRequest(ctx, pod, kind, proxied)
	if err != nil {
		return met{err: err}
	}
	began := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return met{err: err, took: time.Since(began)}
	}
	defer response.Body.Close()
	var body strings.Builder
	_, err = io.Copy(&body, response.Body)
	return met{response.StatusCode, response.Header, body.String(), err, time.Since(began)}
}

// errClosed is the error of askAndKeep when the pod closes the connection.
var errClosed = errors.New("connection closed after the answer")

// askAndKeep is one caller that keeps its connection after the answer, until
// the pod closes it or patience ends.
func askAndKeep(ctx context.Context, pod local.Pod, kind string) met {
	request, err := newRequest(ctx, pod, kind, false)
	if err != nil {
		return met{err: err}
	}
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", request.URL.Host)
	if err != nil {
		return met{err: err}
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return met{err: err}
	}
	began := time.Now()
	if err := request.Write(conn); err != nil {
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
		if _, err = read.ReadByte(); err == io.EOF && !response.Close {
			err = errClosed
		}
	}
	return met{response.StatusCode, response.Header, body.String(), err, time.Since(began)}
}
