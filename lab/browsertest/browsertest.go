// Package browsertest starts a Chromium for tests of pages.
package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/skip"
)

// The limits are only there to end what hangs: beside the tests of other packages, a browser may take half a
// minute to start, and a page as long to answer.
const (
	lifetime = 15 * time.Minute // of a browser
	patience = 2 * time.Minute  // with one condition of a page
)

// Start returns the context of a tab of a browser, which ends with the test. Chromium is the program $CHROMIUM, or
// one of the PATH.
func Start(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); name != "" && err == nil && path == "" {
			path = found
		}
	}
	if path == "" {
		skip.Without(t, "no chromium on the PATH: apt-get install chromium, or set CHROMIUM to its path")
	}
	ctx, cancel := context.WithTimeout(t.Context(), lifetime)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WSURLReadTimeout(patience), chromedp.Flag("headless", "new"), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-gpu", true))...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

// Until evaluates a script in the tab's page until the result is want. The actions are done before each look.
func Until(t *testing.T, ctx context.Context, what, script, want string, actions ...chromedp.Action) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var got string
	var err error
	for ctx.Err() == nil {
		// A page that is on its way has no elements yet.
		if err = chromedp.Run(ctx, append(slices.Clone(actions), chromedp.Evaluate(script, &got))...); err == nil && got == want {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("%s: got %q (%v), want %q", what, got, err, want)
}

// Resize gives the page's window a size. It is set until the page has it: a browser that is still changing to
// another page's process forgets it.
func Resize(t *testing.T, ctx context.Context, width, height int64) {
	t.Helper()
	Until(t, ctx, "the window's size", `innerWidth + "x" + innerHeight`, fmt.Sprintf("%dx%d", width, height),
		emulation.SetDeviceMetricsOverride(width, height, 1, false))
}

// Shoot keeps pictures of the whole page, part by part, in the directory $SHOTS, if that is set.
func Shoot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("SHOTS")
	if dir == "" {
		return
	}
	var size struct{ Width, Height float64 }
	require.NoError(t, chromedp.Run(ctx, chromedp.Evaluate(`(e => ({Width: e.clientWidth, Height: e.scrollHeight}))(document.documentElement)`, &size)))
	const part = 1600
	for y := 0.; y < size.Height; y += part {
		clip := page.Viewport{Y: y, Width: size.Width, Height: min(part, size.Height-y), Scale: 1}
		require.NoError(t, chromedp.Run(ctx, chromedp.ActionFunc(func(ctx context.Context) error {
			picture, err := page.CaptureScreenshot().WithClip(&clip).WithCaptureBeyondViewport(true).Do(ctx)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%.0f.png", name, y/part)), picture, 0o644)
		})))
	}
}

// Accessible fails the test for every violation that axe-core finds in the tab's page. The script is a file of
// the package axe-core, which `make ui` installs; what describes the page.
func Accessible(t *testing.T, ctx context.Context, script, what string) {
	t.Helper()
	axe, err := os.ReadFile(script)
	if err != nil {
		skip.Without(t, "axe-core is not installed: run make ui")
	}
	const run = `axe.run().then(({violations, passes}) => JSON.stringify({
		Passes: passes.length,
		Violations: violations.flatMap(v => v.nodes.map(n => v.impact + " " + v.id + ": " + n.target + ": " + n.failureSummary)),
	}))`
	await := func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
	var text string
	require.NoError(t, chromedp.Run(ctx, chromedp.Evaluate(string(axe)+";''", nil), chromedp.Evaluate(run, &text, await)))
	var found struct {
		Passes     int
		Violations []string
	}
	require.NoError(t, json.Unmarshal([]byte(text), &found))
	if found.Passes < 15 {
		t.Errorf("%s: axe-core passed %d rules, want those of a whole page", what, found.Passes)
	}
	for _, violation := range found.Violations {
		t.Errorf("%s: %s", what, violation)
	}
}
