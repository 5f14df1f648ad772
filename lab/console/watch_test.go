package console

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fleetman.example/lab/local"
)

// message decodes a server-sent event.
func message(t *testing.T, data []byte, into any) (name string) {
	t.Helper()
	head, body, _ := strings.Cut(string(data), "\n")
	if err := json.Unmarshal([]byte(strings.TrimPrefix(strings.TrimSpace(body), "data: ")), into); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return strings.TrimPrefix(head, "event: ")
}

// TestWatcher checks that the fleet is read once a second while a page is open, and not at all without one.
func TestWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fake{}
		source.set(smallFleet(0))
		source.noted = []local.Event{{Pod: "a-0", Kind: local.Started}}
		w := newWatcher(source, newGenerator(source))
		time.Sleep(time.Minute)
		if n := source.reads.Load() + source.events.Load(); n != 0 {
			t.Fatalf("%d reads without a page", n)
		}

		first, endFirst := w.watch()
		var opened opening
		if name := message(t, <-first, &opened); name != "opening" || opened.State != nil || len(opened.Events) != 0 {
			t.Errorf("%s %+v", name, opened)
		}
		synctest.Wait()
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		events := 0
		for range 3 {
			var s State
			if name := message(t, <-first, &s); name != "state" || len(s.Nodes) == 0 {
				t.Errorf("%s %+v", name, s)
			}
			events += len(s.Events)
		}
		second, endSecond := w.watch()
		message(t, <-second, &opened)
		if reads := source.reads.Load(); reads != 3 || len(opened.Points) != 3 || opened.State == nil || events != 1 || len(opened.Events) != 1 {
			t.Errorf("%d reads, %d points, %d and %d events", reads, len(opened.Points), events, len(opened.Events))
		}
		endFirst()
		time.Sleep(time.Second)
		synctest.Wait()
		if reads := source.reads.Load(); reads != 4 {
			t.Errorf("%d reads with two pages, then one", reads)
		}
		endSecond()
		time.Sleep(time.Minute)
		if reads := source.reads.Load(); reads != 4 {
			t.Errorf("%d reads after all pages are closed", reads)
		}
	})
}

// TestProblem checks that a page gets the reason for which the fleet cannot be read.
func TestProblem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fake{}
		w := newWatcher(source, newGenerator(source))
		messages, end := w.watch()
		<-messages // the opening
		var problem struct{ Error string }
		if name := message(t, <-messages, &problem); name != "problem" || problem.Error != "no fleet" {
			t.Errorf("%s %+v", name, problem)
		}
		end()
		time.Sleep(2 * loadGrace)
	})
}

// TestSlowPage checks that a page that does not read misses states, and delays nobody.
func TestSlowPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fake{}
		source.set(smallFleet(0))
		w := newWatcher(source, newGenerator(source))
		_, end := w.watch()
		time.Sleep(100*time.Second + 1)
		synctest.Wait()
		if reads := source.reads.Load(); reads != 101 {
			t.Errorf("%d reads in 100 s", reads)
		}
		end()
		time.Sleep(2 * loadGrace)
	})
}
