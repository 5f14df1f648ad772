package upstream

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"fleetman.example/kit/fault"
	"fleetman.example/kit/server/servertest"
)

// TestMetastable has the four cells of "Metastable Failures in the Wild" (Huang et al., OSDI '22, section
// 5.2): a service that does 50 requests per second and lets 100 wait stops for a moment. With three attempts
// of 500 ms the calls of 20 clients per second become 60, more than the service can do: once its queue is
// longer than 500 ms, every answer comes too late, and the overload outlasts its trigger. The numbers are
// those of experiments/metastable.yaml.
func TestMetastable(t *testing.T) {
	naive := []string{"RETRY_ATTEMPTS", "3", "ATTEMPT_TIMEOUT", "500ms", "RETRY_BUDGET_PERCENT", "1000"}
	with := func(more ...string) []string { return append(naive[:len(naive):len(naive)], more...) }
	for name, tc := range map[string]struct {
		env       []string
		perSecond int
		stop      time.Duration
		recovers  bool
	}{
		"a short trigger":     {naive, 20, 500 * time.Millisecond, true},
		"a longer trigger":    {naive, 20, 3 * time.Second, false},
		"at 30 % less load":   {naive, 14, 3 * time.Second, true},
		"with a retry budget": {with("RETRY_BUDGET_PERCENT", "20"), 20, 3 * time.Second, true},
		"with a breaker":      {with("BREAKER_FAILURES", "3", "BREAKER_OPEN_TIME", "5s", "FALLBACK", "true"), 20, 3 * time.Second, true},
		"without retries":     {with("RETRY_ATTEMPTS", "0"), 20, 3 * time.Second, true},
	} {
		bubble(t, name, func(t *testing.T) {
			o := overload{stop: tc.stop, cfg: only(t, tc.env...), perSecond: tc.perSecond}
			o.run(t)
			all, last := 5*tc.perSecond, len(o.good)-2 // the last whole part
			recovered := o.good[last] >= all && o.wasted[last] == 0
			never := o.good[last] == 0 && o.wasted[last] == 5*50 // the service works, and only for callers that have left
			if o.good[0] < all || recovered != tc.recovers || never == tc.recovers {
				t.Errorf("recovered %t, never %t:\ngood     %v\nattempts %v\nwasted   %v", recovered, never, o.good, o.attempts, o.wasted)
			}
		})
	}
}

// overload is a service that stops for a moment, under a constant load.
type overload struct {
	cfg       Config
	perSecond int
	stop      time.Duration

	mu                     sync.Mutex
	good, attempts, wasted [18]int // per 5 s
}

func (o *overload) run(t *testing.T) {
	const begins = 10 * time.Second
	rules := servertest.Must(fault.Parse("capacity=50,queue=100"))
	service := fault.NewSet(1, rules, time.Now)
	at := func() int { return min(int(time.Since(epoch)/(5*time.Second)), 17) }
	serve := func(r *http.Request, _ int) (*http.Response, error) {
		done := make(chan *http.Response, 1)
		o.mu.Lock()
		o.attempts[at()]++
		o.mu.Unlock()
		go func() {
			if since := time.Since(epoch) - begins; since >= 0 && since < o.stop {
				time.Sleep(o.stop - since) // its kernel keeps what arrives
			}
			met := service.Decide(r)
			if len(met) > 0 && met[0].Refused {
				done <- answer(503, "")
				return
			}
			if len(met) > 0 {
				time.Sleep(met[0].Wait)
			}
			if r.Context().Err() != nil {
				o.mu.Lock()
				o.wasted[at()]++
				o.mu.Unlock()
			}
			done <- answered200("fresh")
		}()
		select {
		case resp := <-done:
			return resp, nil
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	var placeholder Placeholder
	if o.cfg.Fallback {
		placeholder = somebody
	}
	b := buildBench(t, o.cfg, serve, placeholder, "a:80")
	var calls sync.WaitGroup
	for i := 0; time.Since(epoch) < 90*time.Second; i++ {
		calls.Go(func() {
			begun := at()
			if b.callAs(t.Context(), "GET", fmt.Sprintf("/driver/%d", i), "") == "200 fresh" {
				o.mu.Lock()
				o.good[begun]++
				o.mu.Unlock()
			}
		})
		time.Sleep(time.Second / time.Duration(o.perSecond))
	}
	calls.Wait()
	time.Sleep(10 * time.Second) // the service answers those that have left
}
