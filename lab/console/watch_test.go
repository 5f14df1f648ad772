package console

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/local"
)

// message decodes a server-sent event.
func message(t *testing.T, data []byte, into any) (name string) {
	t.Helper()
	head, body, _ := strings.Cut(string(data), "\n")
	require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(strings.TrimSpace(body), "data: ")), into), "%s", data)
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
		require.Zero(t, source.reads.Load()+source.events.Load(), "reads without a page")

		first, endFirst := w.watch()
		var opened opening
		assert.Equal(t, "opening", message(t, <-first, &opened))
		assert.Equal(t, opening{}, opened)
		synctest.Wait()
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		events := 0
		for range 3 {
			var s State
			assert.Equal(t, "state", message(t, <-first, &s))
			assert.NotEmpty(t, s.Nodes)
			events += len(s.Events)
		}
		second, endSecond := w.watch()
		message(t, <-second, &opened)
		assert.EqualValues(t, 3, source.reads.Load(), "reads")
		assert.Len(t, opened.Points, 3)
		assert.NotNil(t, opened.State)
		assert.Equal(t, 1, events, "events of the states")
		assert.Len(t, opened.Events, 1)
		endFirst()
		time.Sleep(time.Second)
		synctest.Wait()
		assert.EqualValues(t, 4, source.reads.Load(), "reads with two pages, then one")
		endSecond()
		time.Sleep(time.Minute)
		assert.EqualValues(t, 4, source.reads.Load(), "reads after all pages are closed")
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
		assert.Equal(t, "problem", message(t, <-messages, &problem))
		assert.Equal(t, "no fleet", problem.Error)
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
		assert.EqualValues(t, 101, source.reads.Load(), "reads in 100 s")
		end()
		time.Sleep(2 * loadGrace)
	})
}
