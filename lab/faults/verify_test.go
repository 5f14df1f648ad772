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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/nettest"
	"fleetman.example/lab/wants"
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
	_, err = client.Set(t.Context(), fleet.Pods()[0], before)
	require.NoError(t, err)
	const connect = "connect=delay:1ms,rate=0.5"
	connections := launcher{fleet}
	_, err = connections.SetConnect(t.Context(), fleet.Pods()[0].Name, connect)
	require.NoError(t, err)
	checks, _, err := Verifier{Access{Client: client, Connections: connections}, now}.Run(t.Context())
	all := slices.Concat(kinds, connects)
	require.NoError(t, err)
	require.Len(t, checks, len(all), "checks")
	for i, c := range checks {
		assert.Equal(t, []any{all[i].name, all[i].times, c.Set, c.Set, true}, []any{c.Kind, c.Set, c.Injected, c.Seen, c.OK()}, "%+v", c)
	}
	state, err := client.Get(t.Context(), fleet.Pods()[0])
	require.NoError(t, err)
	assert.Equal(t, []any{before, 1}, []any{state.Text(), fleet.Pods()[0].Restarts}, "rules and restarts afterwards")
	ofConnections, err := fleet.Connect(fleet.Pods()[0].Name)
	require.NoError(t, err)
	assert.Equal(t, connect, ofConnections.Rule, "rule of connections afterwards")
}

// launcher is a fleet of this process, with the calls of control.Client.
type launcher struct{ fleet *local.Fleet }

func (l launcher) Connect(_ context.Context, pod string) (local.ConnectState, error) {
	return l.fleet.Connect(pod)
}

func (l launcher) SetConnect(_ context.Context, pod, rule string) (local.ConnectState, error) {
	if rule == "" {
		return l.fleet.SetConnect(pod, nil)
	}
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
		check, err := Verifier{Access: Access{Client: &Client{}}}.check(t.Context(), pod, status, false)
		require.NoError(t, err, test.name)
		assert.Equal(t, test.want, check.Problem, test.name)
		assert.Equal(t, test.want == "", check.OK(), test.name)
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
		_, _, err := Verifier{Access{Client: &Client{}}, func(context.Context) (local.Pod, error) { return pod, nil }}.Run(ctx)
		fake.mu.Lock()
		rules := fake.rules
		fake.mu.Unlock()
		assert.Error(t, err, name)
		if refuses {
			assert.ErrorContains(t, err, "restore the rules of the pod: pod staff-service-0: admin listener: status 500")
		} else {
			assert.NotContains(t, err.Error(), "restore the rules")
			assert.Equal(t, "hang", rules)
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
		assert.True(t, k.seen(good[k.name], false), "%s is seen", k.name)
		behind := []bool{k.seen(good[k.name], true), k.seen(byProxy, true), k.seen(byProxy, false)}
		assert.Equal(t, []bool{!k.cutsOff, k.cutsOff, false}, behind, "%s is seen behind a proxy, and without", k.name)
		for _, m := range []met{{503, http.Header{}, "no healthy upstream", nil, 0}, {503, fault("reset"), envoy, nil, 0}, {502, http.Header{}, envoy, nil, 0}} {
			assert.False(t, k.seen(m, true), "%s behind a proxy is seen in %+v", k.name, m)
		}
		for _, m := range []met{{404, http.Header{}, "{}", nil, time.Millisecond}, {err: errors.New("no route")}, {404, fault(k.name), "{}x{}x", nil, 0}} {
			slowed := k.name == "slow" && m.isFault("slow")
			assert.False(t, k.met(m) && !slowed, "%s is seen in %+v", k.name, m)
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
	wants.Text(t, "by a policy", Verifier{}.refused(t.Context(), pod), "proxy of staff-service-0 skipped: its response to a caller from outside the mesh is 403 RBAC: access denied")
	assert.Empty(t, Verifier{}.refused(t.Context(), podOf(t, http.NotFound)), "open")
	wants.Text(t, "by TLS", Verifier{}.refused(t.Context(), podAt("127.0.0.1:1")), "proxy of staff-service-0 skipped: it refuses a caller from outside the mesh: …")
}

func TestNotServing(t *testing.T) {
	_, _, err := Verifier{Access{Client: &Client{}}, func(context.Context) (local.Pod, error) { return local.Pod{Name: "position-simulator-0"}, nil }}.Run(t.Context())
	wants.Error(t, "no port", err, "pod position-simulator-0: it has no port for requests")
}
