package faults

import (
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
	Kind     string
	Set      int // how often the rule was to fire
	Injected int // how often the pod says that it did
	Seen     int // how often a caller met it
	Problem  string
}

// OK tells whether both ends agree with what was set.
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
}

// met is what a caller was answered.
type met struct {
	status int
	header http.Header
	body   string
	err    error // also of reading the body
	took   time.Duration
}

func (m met) says(kind string) bool { return m.header.Get("X-Fault") == kind }

// hangs is how long a caller waits; an answer of a pod on the same machine
// takes a hundredth of it.
const hangs = time.Second

var kinds = []kind{
	{"delay", "delay=100ms", 3, func(m met) bool {
		return m.err == nil && m.status != 0 && m.says("delay") && m.took >= 100*time.Millisecond
	}},
	{"status", "status=503,retry-after=7s", 3, func(m met) bool {
		return m.err == nil && m.status == 503 && m.says("status") && m.header.Get("Retry-After") == "7" && m.body == ""
	}},
	{"reset", "reset", 3, func(m met) bool { return errors.Is(m.err, syscall.ECONNRESET) }},
	{"hang", "hang", 2, func(m met) bool {
		var timeout net.Error
		return errors.As(m.err, &timeout) && timeout.Timeout() && m.took >= hangs
	}},
	{"truncate", "truncate=5", 3, func(m met) bool {
		return m.says("truncate") && len(m.body) == 5 && errors.Is(m.err, io.ErrUnexpectedEOF)
	}},
	{"slow", "slow=500", 3, func(m met) bool { // it sends a piece every 100 ms
		return m.says("slow") && m.err == nil && m.took >= time.Duration(len(m.body))*time.Second/500-100*time.Millisecond
	}},
	{"crash", "crash", 1, func(m met) bool {
		return m.status == 0 && (errors.Is(m.err, io.EOF) || errors.Is(m.err, syscall.ECONNRESET))
	}},
}

// Verifier checks the faults of one pod of a running fleet.
type Verifier struct {
	Client *Client
	Pod    func(context.Context) (local.Pod, error) // as it is now
}

// Run sets every kind of fault in turn, meets it as a caller and counts. The
// rules that were there are in force again at its end, with counts of 0.
func (v Verifier) Run(ctx context.Context) (checks []Check, err error) {
	pod, err := v.Pod(ctx)
	if err != nil {
		return nil, err
	}
	if pod.Port == 0 {
		return nil, fmt.Errorf("pod %s: it takes no requests", pod.Name)
	}
	before, err := v.Client.Get(ctx, pod)
	if err != nil {
		return nil, err
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
	for _, k := range kinds {
		check, err := v.check(ctx, pod, k)
		if err != nil {
			return checks, err
		}
		checks = append(checks, check)
	}
	return checks, nil
}

func (v Verifier) check(ctx context.Context, pod local.Pod, k kind) (Check, error) {
	check := Check{Kind: k.name, Set: k.times}
	counted, err := v.counted(ctx, pod, k.name)
	if err != nil {
		return check, err
	}
	rule := fmt.Sprintf("%s,count=%d,header=%s:%s", k.rule, k.times, header, k.name)
	if _, err := v.Client.Set(ctx, pod, rule); err != nil {
		return check, err
	}
	for range k.times {
		if k.met(ask(ctx, pod, k.name)) {
			check.Seen++
		}
	}
	if k.name == "crash" {
		return v.afterCrash(ctx, pod, check)
	}
	harmed := 0
	for range k.times {
		if m := ask(ctx, pod, k.name); m.err != nil || m.header.Get("X-Fault") != "" {
			harmed++
		}
	}
	state, err := v.Client.Get(ctx, pod)
	if err != nil {
		return check, err
	}
	for _, r := range state.Rules {
		check.Injected += int(r.Fired)
	}
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

func (c *Check) judge() {
	switch {
	case c.Injected != c.Set:
		c.Problem = fmt.Sprintf("injected %d, expected %d", c.Injected, c.Set)
	case c.Seen != c.Set:
		c.Problem = fmt.Sprintf("a caller saw %d, expected %d", c.Seen, c.Set)
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
	const metric = "fleetman_faults_total"
	samples, err := scrape.Get(ctx, &v.Client.HTTP, Admin(pod), func(name string) bool { return name == metric })
	sum := 0.0
	for _, s := range samples {
		if s.Labels["fleetman_fault"] == kind {
			sum += s.Value
		}
	}
	return int(sum), err
}

// ask is one caller with a connection of its own. The path is known nowhere:
// its answer is the pod's 404, which has a body.
func ask(ctx context.Context, pod local.Pod, kind string) met {
	client := http.Client{Timeout: hangs, Transport: &http.Transport{DisableKeepAlives: true}}
	url := "http://" + net.JoinHostPort(pod.Address, strconv.Itoa(pod.Port)) + "/fleetman-verify"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return met{err: err}
	}
	request.Header.Set(header, kind)
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
