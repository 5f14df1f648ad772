package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/nettest"
)

// TestVerifyService verifies the faults of the real service. All counts are equal, and the earlier rules are
// restored.
func TestVerifyService(t *testing.T) {
	objects, err := manifest.Load("../../k8s/base/staff-service.yaml")
	require.NoError(t, err)
	fleet, err := local.Start(t.Context(), objects, local.Options{
		Root: "../..", State: t.TempDir(), Environ: os.Environ(), ReadyTimeout: 3 * time.Minute, Relays: true,
		Network: nettest.Network(t), Progress: func(line string) { t.Log(line) },
	})
	require.NoError(t, err)
	defer fleet.Stop()
	now := func(context.Context) (local.Pod, error) { return fleet.Pods()[0], nil }
	client := &Client{}
	const before = "delay=1s,path=/nowhere;status=502,rate=0.5,path=/nowhere"
	if _, err := client.Set(t.Context(), fleet.Pods()[0], before); err != nil {
		t.Fatal(err)
	}
	const connect = "connect=delay:1ms,rate=0.5"
	connections := launcher{fleet}
	if _, err := connections.SetConnect(t.Context(), fleet.Pods()[0].Name, connect); err != nil {
		t.Fatal(err)
	}
	checks, _, err := Verifier{Client: client, Pod: now, Connections: connections}.Run(t.Context())
	all := slices.Concat(kinds, connects)
	if err != nil || len(checks) != len(all) {
		t.Fatalf("%d checks, %v", len(checks), err)
	}
	for i, c := range checks {
		if c.Kind != all[i].name || c.Set != all[i].times || c.Injected != c.Set || c.Seen != c.Set || !c.OK() {
			t.Errorf("got %+v", c)
		}
	}
	if state, err := client.Get(t.Context(), fleet.Pods()[0]); err != nil || state.Text() != before || fleet.Pods()[0].Restarts != 1 {
		t.Errorf("afterwards: %+v, %v, %d restarts", state, err, fleet.Pods()[0].Restarts)
	}
	if state, err := fleet.Connect(fleet.Pods()[0].Name); err != nil || state.Rule != connect {
		t.Errorf("afterwards, connections: %+v, %v", state, err)
	}
}

// launcher is a fleet of this process, with the calls of control.Client.
type launcher struct{ fleet *local.Fleet }

func (l launcher) Connect(_ context.Context, pod string) (local.ConnectState, error) {
	return l.fleet.Connect(pod)
}

func (l launcher) SetConnect(_ context.Context, pod, rule string) (local.ConnectState, error) {
	fault, err := local.ParseConnect(rule)
	if err != nil {
		return local.ConnectState{}, err
	}
	return l.fleet.SetConnect(pod, &fault)
}

// liar is a pod that responds with 503 for every rule, and whose counts can be wrong.
type liar struct {
	mu                        sync.Mutex
	rules                     string
	left                      int
	fired                     int
	metrics                   int
	skips, forgets, miscounts bool // injects one less; counts one less; its metrics count double
	overdoes                  bool // injects without end
	refusesRestored           bool
	onSet                     func()
}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch r.URL.Path {
	case "/faults":
		if r.Method == http.MethodPut {
			body, _ := io.ReadAll(r.Body)
			if l.refusesRestored && string(body) == "hang" {
				http.Error(w, "no", http.StatusInternalServerError)
				return
			}
			l.rules, l.fired, l.left = string(body), 0, 3
			if l.onSet != nil {
				l.onSet()
			}
			if l.skips {
				l.left = 2
			}
		}
		fired := l.fired
		if l.forgets {
			fired--
		}
		fmt.Fprintf(w, `{"seed":1,"rules":[{"rule":%q,"matched":0,"fired":%d}]}`, l.rules, fired)
	case "/metrics":
		fmt.Fprintf(w, "fleetman_faults_total{fleetman_fault=\"status\"} %d\n", l.metrics)
	default:
		if l.left == 0 && !l.overdoes {
			http.NotFound(w, r)
			return
		}
		l.left, l.fired, l.metrics = max(l.left-1, 0), l.fired+1, l.metrics+1
		if l.miscounts {
			l.metrics++
		}
		w.Header().Set("X-Fault", "status")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func TestVerifyProblems(t *testing.T) {
	status := kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.name == "status" })]
	for _, test := range []struct {
		name string
		pod  *liar
		want string
	}{
		{"honest", &liar{}, ""},
		{"injects less", &liar{skips: true}, "injected 2: must be 3"},
		{"counts less", &liar{forgets: true}, "injected 2: must be 3"},
		{"metrics differ", &liar{miscounts: true}, "counted in its metrics 6: must be 3"},
		{"does more", &liar{overdoes: true}, "injected 6: must be 3"},
		{"does more and hides it", &liar{overdoes: true, forgets: true}, "injected 5: must be 3"},
	} {
		pod := podOf(t, test.pod.ServeHTTP)
		check, err := Verifier{Client: &Client{}}.check(t.Context(), pod, status, false)
		if err != nil || check.Problem != test.want || check.OK() != (test.want == "") {
			t.Errorf("%s: got %+v, %v, want %q", test.name, check, err, test.want)
		}
	}
}

// TestVerifyRestores interrupts a verification. The rules are restored, or the error reports that they are
// not.
func TestVerifyRestores(t *testing.T) {
	for name, refuses := range map[string]bool{"restored": false, "not restored": true} {
		fake := &liar{rules: "hang", refusesRestored: refuses}
		pod := podOf(t, fake.ServeHTTP)
		ctx, cancel := context.WithCancel(t.Context())
		fake.onSet = cancel
		_, _, err := Verifier{Client: &Client{}, Pod: func(context.Context) (local.Pod, error) {
			return pod, nil
		}}.Run(ctx)
		fake.mu.Lock()
		rules := fake.rules
		fake.mu.Unlock()
		if err == nil || refuses != strings.Contains(err.Error(), "restore the rules of the pod: pod staff-service-0: admin listener: status 500") {
			t.Errorf("%s: got %v", name, err)
		}
		if !refuses && rules != "hang" {
			t.Errorf("%s: rules %q", name, rules)
		}
	}
}

func TestMet(t *testing.T) {
	fault := func(kind string) http.Header { return http.Header{"X-Fault": {kind}} }
	good := map[string]met{
		"delay":    {404, fault("delay"), "{}", nil, 100 * time.Millisecond},
		"status":   {503, http.Header{"X-Fault": {"status"}, "Retry-After": {"7"}}, "", nil, 0},
		"reset":    {err: fmt.Errorf("read: %w", syscall.ECONNRESET)},
		"hang":     {err: &net.DNSError{IsTimeout: true}, took: hangs},
		"truncate": {404, fault("truncate"), `{"sta`, io.ErrUnexpectedEOF, 0},
		"slow":     {404, fault("slow"), strings.Repeat("x", 500), nil, 900 * time.Millisecond},
		"capacity": {503, fault("capacity"), "", nil, 0},
		"rate":     {503, fault("status"), "", nil, 0},
		"idle":     {404, http.Header{}, "{}", errClosed, 50 * time.Millisecond},
		"crash":    {err: io.EOF},
	}
	const envoy = "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
	byProxy := met{503, http.Header{}, envoy, nil, 0}
	for _, k := range kinds {
		if !k.seen(good[k.name], false) {
			t.Errorf("%s is not seen", k.name)
		}
		if k.seen(good[k.name], true) == k.cutsOff || k.seen(byProxy, true) != k.cutsOff || k.seen(byProxy, false) {
			t.Errorf("%s behind a proxy is not distinguished from %s without", k.name, k.name)
		}
		for _, m := range []met{{503, http.Header{}, "no healthy upstream", nil, 0}, {503, fault("reset"), envoy, nil, 0}, {502, http.Header{}, envoy, nil, 0}} {
			if k.seen(m, true) {
				t.Errorf("%s behind a proxy is seen in %+v", k.name, m)
			}
		}
		for _, m := range []met{{404, http.Header{}, "{}", nil, time.Millisecond}, {err: errors.New("no route")}, {404, fault(k.name), "{}x{}x", nil, 0}} {
			if k.met(m) && k.name != "slow" || k.name == "slow" && m.header.Get("X-Fault") != "slow" && k.met(m) {
				t.Errorf("%s is seen in %+v", k.name, m)
			}
		}
	}
}

// When the proxy refuses callers from outside the mesh, the verification skips it.
func TestRefused(t *testing.T) {
	pod := podOf(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get(header) {
		case "none":
			http.Error(w, "RBAC: access denied", http.StatusForbidden)
		default:
			http.NotFound(w, r)
		}
	})
	pod.AppAddress = "127.0.0.1:1"
	if got, want := (Verifier{}).refused(t.Context(), pod), "proxy of staff-service-0 skipped: its response to a caller from outside the mesh is 403 RBAC: access denied"; got != want {
		t.Errorf("by a policy: got %q, want %q", got, want)
	}
	open := podOf(t, http.NotFound)
	if got := (Verifier{}).refused(t.Context(), open); got != "" {
		t.Errorf("open: got %q", got)
	}
	away := podAt("127.0.0.1:1")
	if got := (Verifier{}).refused(t.Context(), away); !strings.HasPrefix(got, "proxy of staff-service-0 skipped: it refuses a caller from outside the mesh: ") {
		t.Errorf("by TLS: got %q", got)
	}
}

func TestNotServing(t *testing.T) {
	_, _, err := Verifier{Client: &Client{}, Pod: func(context.Context) (local.Pod, error) { return local.Pod{Name: "position-simulator-0"}, nil }}.Run(t.Context())
	if err == nil || err.Error() != "pod position-simulator-0: it has no port for requests" {
		t.Errorf("got %v", err)
	}
}
