package local

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/wants"
)

func TestRenderHosts(t *testing.T) {
	services := []serviceAddresses{
		{name: "staff", namespace: "default", addresses: []netip.Addr{netip.MustParseAddr("127.0.1.7"), netip.MustParseAddr("127.0.1.8")}},
		{name: "tracker", namespace: "fleet"},
	}
	for namespace, want := range map[string]string{
		"default": `# kept by fleetman: the Services and their ready pods, as namespace default names them
127.0.1.7 staff staff.default staff.default.svc staff.default.svc.cluster.local
127.0.1.8 staff staff.default staff.default.svc staff.default.svc.cluster.local
127.0.1.0 tracker.fleet tracker.fleet.svc tracker.fleet.svc.cluster.local
`,
		"fleet": `# kept by fleetman: the Services and their ready pods, as namespace fleet names them
127.0.1.7 staff.default staff.default.svc staff.default.svc.cluster.local
127.0.1.8 staff.default staff.default.svc staff.default.svc.cluster.local
127.0.1.0 tracker tracker.fleet tracker.fleet.svc tracker.fleet.svc.cluster.local
`,
	} {
		assert.Equal(t, want, string(renderHosts(services, namespace, netip.MustParseAddr("127.0.1.0"))), namespace)
	}
}

// TestProbeWatch: when each change is reported, for answers in order.
func TestProbeWatch(t *testing.T) {
	for _, test := range []struct {
		name    string
		probe   probe
		eager   bool
		answers string // g is good, b is bad, x is after the end
		want    []string
	}{
		{"eager: at once, then by the period", probe{period: time.Second, failures: 2, successes: 1}, true, "bbgbgbbbgx", []string{
			"40ms true", "4.04s false", "6.04s true",
		}},
		{"eager, several successes wanted", probe{period: time.Second, failures: 1, successes: 2}, true, "gbggbx", []string{"60ms true", "1.06s false"}},
		{"liveness: after its delay, failures in a row", probe{delay: 5 * time.Second, period: time.Second, failures: 3, successes: 1}, false, "gbbgbbbbx", []string{
			"5s true", "11s false",
		}},
		{"liveness that never was good", probe{period: time.Second, failures: 2, successes: 1}, false, "bbbbx", []string{"2s false"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				began := time.Now()
				asked := 0
				test.probe.check = func(context.Context) error {
					asked++
					if asked == len(test.answers) {
						defer cancel()
					}
					if test.answers[asked-1] == 'g' {
						return nil
					}
					return errors.New("bad")
				}
				var got []string
				test.probe.watch(ctx, test.eager, func(ok bool, err error) {
					assert.Equal(t, err == nil, ok, "report of %v", err)
					got = append(got, fmt.Sprintf("%v %t", time.Since(began), ok))
				})
				assert.Equal(t, test.want, got, "reports")
			})
		})
	}
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &Fleet{events: NewEventLog()}
		f.events.Add(Event{Pod: "a"})
		var got []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			for event := range f.Events(t.Context()) {
				got = append(got, event.Pod)
			}
		}()
		synctest.Wait()
		f.events.Add(Event{Pod: "b"})
		f.events.Add(Event{Pod: "c"})
		f.events.end()
		f.events.Add(Event{Pod: "late"})
		f.events.end()
		<-done
		assert.Equal(t, []string{"a", "b", "c"}, got, "events")
	})
}

func TestEventsAreBounded(t *testing.T) {
	log := NewEventLog()
	for i := range 2*maxEvents + 7 {
		log.Add(Event{Restarts: i})
	}
	events, next, _, _ := log.since(0)
	assert.Equal(t, 2*maxEvents+7, next, "events")
	assert.True(t, len(events) <= maxEvents && events[len(events)-1].Restarts == next-1, "%d events kept, the last is %+v", len(events), events[len(events)-1])
	rest, _, _, _ := log.since(next - 3)
	assert.True(t, len(rest) == 3 && rest[0].Restarts == next-3, "the last three are %+v", rest)
}

func TestLastLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	assert.Nil(t, LastLines(path, 3), "of no file")
	text := strings.Repeat("long ago\n", 5000) + "one\ntwo\nthree\n"
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	assert.Equal(t, []string{"two", "three"}, LastLines(path, 2), "last lines")
}

func TestMissingAddress(t *testing.T) {
	network := netip.MustParsePrefix("127.0.1.0/24")
	for system, want := range map[string]string{
		"darwin": "this system has no address 127.0.1.1; add the pods' addresses once with: for n in $(seq 0 6); do sudo ifconfig lo0 alias 127.0.1.$n up; done",
		"linux":  "this system has no address 127.0.1.1; give --network a loopback network, such as 127.0.1.0/24",
	} {
		wants.Error(t, system, missingAddress(netip.MustParseAddr("127.0.1.1"), network, 6, system), want)
	}
}

func TestLookUp(t *testing.T) {
	hosts := filepath.Join(t.TempDir(), "hosts")
	text := "# fleetman\n127.0.1.5 staff staff.default # two pods\n127.0.1.6 staff\n\n127.0.1.7 webapp\n"
	require.NoError(t, os.WriteFile(hosts, []byte(text), 0o644))
	found, err := LookUp(hosts, "staff")
	require.NoError(t, err)
	assert.Equal(t, []string{"127.0.1.5", "127.0.1.6"}, found, "staff")
	for path, name := range map[string]string{hosts: "fleetman", hosts + "x": "staff"} { // one in a comment, one without a file
		_, err := LookUp(path, name)
		wants.Error(t, name, err, "look up "+name+": …")
	}
}
