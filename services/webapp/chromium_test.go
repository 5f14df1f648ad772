package main

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"fleetman.example/kit/server/servertest"
)

// chromium returns the browser's path.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	missing(t, "no chromium on the PATH: apt-get install chromium, or set CHROMIUM to its path")
	return ""
}

// pageOf returns the built page, and checks that each file has a content type.
func pageOf(t *testing.T) fs.FS {
	t.Helper()
	page := servertest.Must(fs.Sub(built, "ui/dist"))
	if _, err := fs.Stat(page, index); err != nil {
		missing(t, "page not built: run `make ui`")
	}
	_ = fs.WalkDir(page, ".", func(name string, entry fs.DirEntry, _ error) error {
		if !entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") && contentType(name) == "application/octet-stream" {
			t.Errorf("%s: no content type", name)
		}
		return nil
	})
	return page
}

// missing skips a test that needs something that is missing; in CI it fails the test.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// tab is one tab of a browser, with the addresses that it requested.
type tab struct {
	*testing.T
	ctx context.Context

	mu        sync.Mutex
	requested []string
	problems  []string
}

// The limits are only there to end what hangs: beside the tests of other packages, a browser may take half a
// minute to start, and a page as long to answer.
const (
	lifetime = 15 * time.Minute // of a browser
	patience = 2 * time.Minute  // with one condition of a page
)

func open(t *testing.T, browser string) *tab {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.Flag("headless", "new"),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-gpu", true),
		chromedp.WindowSize(1280, 800), chromedp.WSURLReadTimeout(patience))
	ctx, cancel := context.WithTimeout(context.Background(), lifetime)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{T: t, ctx: ctx}
	chromedp.ListenTarget(ctx, b.note)
	b.run(network.Enable(), runtime.Enable(), log.Enable())
	return b
}

func (b *tab) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch event := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requested = append(b.requested, event.Request.URL)
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, event.ExceptionDetails.Error())
	case *log.EventEntryAdded:
		if event.Entry.Source == log.SourceSecurity { // refused by the Content-Security-Policy
			b.problems = append(b.problems, event.Entry.Text)
		}
	}
}

func (b *tab) run(actions ...chromedp.Action) {
	b.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.Fatal(err)
	}
}

// until evaluates script in the page until the result is want.
func (b *tab) until(what, script, want string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	var got string
	var err error
	for ctx.Err() == nil {
		// A page that is on its way has no elements yet.
		if err = chromedp.Run(ctx, chromedp.Evaluate(script, &got)); err == nil && got == want {
			b.Log(what)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	b.Fatalf("%s: got %q (%v), want %q", what, got, err, want)
}

// checkHosts fails for every request outside the given addresses, and for every broken script.
func (b *tab) checkHosts(allowed ...string) {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, address := range b.requested {
		if !strings.HasPrefix(address, "data:") && !slices.ContainsFunc(allowed, func(a string) bool { return strings.HasPrefix(address, a) }) {
			b.Errorf("the page requested %s", address)
		}
	}
	if len(b.requested) < 10 {
		b.Errorf("%d requests, want at least 10", len(b.requested))
	}
	for _, problem := range b.problems {
		b.Errorf("script: %s", problem)
	}
}

func asJSON(v any) string {
	text, _ := json.Marshal(v)
	// As JSON.stringify writes it.
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(text))
}

// axeCore returns the source of axe-core, which finds accessibility defects of a page.
func axeCore(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("ui/node_modules/axe-core/axe.min.js")
	if err != nil {
		missing(t, "axe-core is not installed: run `make ui`")
	}
	return string(text)
}

// check fails the test for every violation that axe-core finds in the current state of the page.
func (b *tab) check(axe, what string) {
	b.Helper()
	const run = `axe.run().then(({violations, passes}) => JSON.stringify({
		passes: passes.length,
		violations: violations.flatMap(v => v.nodes.map(n => v.impact + " " + v.id + ": " + n.target + ": " + n.failureSummary)),
	}))`
	await := func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
	var text string
	b.run(chromedp.Evaluate(axe+";''", nil), chromedp.Evaluate(run, &text, await))
	var found struct {
		Passes     int
		Violations []string
	}
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		b.Fatal(err)
	}
	if found.Passes < 15 {
		b.Errorf("%s: axe-core passed %d rules, want those of a whole page", what, found.Passes)
	}
	for _, violation := range found.Violations {
		b.Errorf("%s: %s", what, violation)
	}
}
