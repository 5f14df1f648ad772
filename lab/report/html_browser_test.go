package report

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/browsertest"
)

// browser returns a tab, and the addresses that it has requested. What the console
// has at the end of the test fails it.
func browser(t *testing.T) (ctx context.Context, requested func() []string) {
	t.Helper()
	ctx = browsertest.Start(t)
	var mu sync.Mutex
	var addresses, problems []string
	chromedp.ListenTarget(ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch event := event.(type) {
		case *network.EventRequestWillBeSent:
			addresses = append(addresses, event.Request.URL)
		case *runtime.EventExceptionThrown:
			problems = append(problems, event.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			problems = append(problems, "console: "+string(event.Type))
		case *log.EventEntryAdded:
			problems = append(problems, event.Entry.Text)
		}
	})
	run(t, ctx, network.Enable(), runtime.Enable(), log.Enable())
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		assert.Nil(t, problems, "console")
	})
	return ctx, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(addresses)
	}
}

func run(t *testing.T, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	require.NoError(t, chromedp.Run(ctx, actions...))
}

// evaluate returns the result of a script in the page.
func evaluate(t *testing.T, ctx context.Context, script string) (text string) {
	t.Helper()
	await := func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
	run(t, ctx, chromedp.Evaluate(script, &text, await))
	return text
}

// fits fails the test if the page is wider than the screen.
func fits(t *testing.T, ctx context.Context, what string) {
	t.Helper()
	assert.Equal(t, "0", evaluate(t, ctx, `String(document.documentElement.scrollWidth - document.documentElement.clientWidth)`), what+", pixels wider than the screen")
}

// readable opens all parts of the page, and fails the test if it is then wider than
// the screen, and for every violation that axe-core finds.
func readable(t *testing.T, ctx context.Context, what string) {
	t.Helper()
	run(t, ctx, chromedp.Evaluate(`document.querySelectorAll("details").forEach(d => { d.open = true }); ""`, nil))
	fits(t, ctx, what+", all parts open")
	browsertest.Accessible(t, ctx, "../../services/webapp/ui/node_modules/axe-core/axe.min.js", what)
}

// TestHTMLBrowser opens the page from a file, as an attachment is: on a wide and
// on a narrow screen, light and dark, nothing is wider than the screen, axe-core
// finds nothing, nothing is requested from a host, and the console stays empty. A field of the
// matrix opens its run; a second of a run is read with the keyboard; printed, all
// pictures are there.
func TestHTMLBrowser(t *testing.T) {
	ctx, requested := browser(t)
	path := os.Getenv("REPORT") // of another page to look at
	if path == "" {
		path = filepath.Join(t.TempDir(), "report.html")
		require.NoError(t, os.WriteFile(path, []byte(pageOf(t, hostileReport(t))), 0o644))
	}
	file := "file://" + path
	for _, screen := range []struct {
		name, scheme  string
		width, height int64
	}{{"wide", "light", 1280, 900}, {"wide", "dark", 1280, 900}, {"narrow", "light", 390, 844}, {"narrow", "dark", 390, 844}} {
		what := screen.name + ", " + screen.scheme
		run(t, ctx, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: screen.scheme}}), chromedp.Navigate(file))
		browsertest.Resize(t, ctx, screen.width, screen.height)
		fits(t, ctx, what)
		t.Logf("%s: opened in %s ms", what, evaluate(t, ctx, `String(Math.round(performance.getEntriesByType("navigation")[0].domComplete))`))
		browsertest.Shoot(t, ctx, screen.name+"-"+screen.scheme)
		assert.Equal(t, "0", evaluate(t, ctx, `(goals => String(goals ? goals.scrollWidth - goals.clientWidth : 0))(document.querySelector("#goals .scroll"))`), what+", pixels of the goals that are cut")
		readable(t, ctx, what)
		assert.Equal(t, "undefined", evaluate(t, ctx, `typeof window.broken`), what+", what a name sets as a script")
	}

	// A field of the matrix opens its run, also one that is folded up.
	run(t, ctx, chromedp.Navigate(file))
	browsertest.Resize(t, ctx, 1280, 900)
	run(t, ctx, chromedp.Evaluate(`document.querySelector(".matrix .field").click(); ""`, nil))
	assert.Equal(t, "plot", evaluate(t, ctx, `document.querySelector(":target")?.className`), "what a field of the matrix leads to")
	run(t, ctx, chromedp.Evaluate(`document.querySelector("[href^='#def-']").click(); ""`, nil))
	browsertest.Until(t, ctx, "the definition of a figure unfolds", `String(document.getElementById("definitions").open)`, "true")

	// The keyboard reads a second.
	run(t, ctx, chromedp.Focus(".picture[role=slider]"), chromedp.KeyEvent(kb.Home), chromedp.KeyEvent(kb.ArrowRight))
	const value = `document.querySelector(".picture").getAttribute("aria-valuetext")`
	if os.Getenv("REPORT") == "" {
		assert.Contains(t, evaluate(t, ctx, value), "10 requests: 10 good, 0 degraded, 0 failed", "the second second")
	}
	assert.Equal(t, evaluate(t, ctx, value), evaluate(t, ctx, `document.getElementById("tip").innerText.trim().split("\n").join("; ")`), "what is shown of it")

	// Parts that are not wanted leave the pictures, which get lower.
	const heights = `String([...document.querySelectorAll(".plot .picture > svg")].reduce((sum, e) => sum + e.getBoundingClientRect().height, 0))`
	const lanes = `String([...document.querySelectorAll(".part[data-kind=breakers], .part[data-kind=ejections]")].filter(e => getComputedStyle(e).display !== "none").length)`
	run(t, ctx, chromedp.Navigate(file))
	all, bars := evaluate(t, ctx, heights), evaluate(t, ctx, lanes)
	run(t, ctx, chromedp.Click(`#filter input[value=breakers]`))
	assert.Less(t, number(t, evaluate(t, ctx, lanes)), number(t, bars), "bars without breakers")
	assert.Less(t, number(t, evaluate(t, ctx, heights)), number(t, all), "pixels without breakers")
	run(t, ctx, chromedp.Click(`#filter input[value=breakers]`))
	assert.Equal(t, all, evaluate(t, ctx, heights), "pixels with breakers again")
	run(t, ctx, chromedp.SendKeys(`#filter input[name=lane]`, "no such pod"))
	assert.Equal(t, "0", evaluate(t, ctx, lanes), "bars of no such pod")
	run(t, ctx, chromedp.Click(`#filter input[name=arm]`))
	assert.Equal(t, "false", evaluate(t, ctx, `String(document.querySelector("article.plot").checkVisibility())`), "the first arm, left out, is shown")

	// What is downloaded is the JSON.
	assert.Equal(t, "true", evaluate(t, ctx, `new Promise(done => {
		const create = URL.createObjectURL;
		URL.createObjectURL = blob => { blob.text().then(text => done(String(text === document.getElementById("data").textContent))); return create(blob) };
		document.getElementById("download").click();
	})`), "what is downloaded is the JSON")

	// Printed, every picture is there: none is hidden.
	run(t, ctx, chromedp.Navigate(file), emulation.SetEmulatedMedia().WithMedia("print"))
	assert.Equal(t, "0", evaluate(t, ctx, `String([...document.querySelectorAll("main svg")].filter(e => !e.closest(".events") && !e.checkVisibility({contentVisibilityAuto: true})).length)`), "pictures that are not printed")
	var pdf []byte
	run(t, ctx, chromedp.ActionFunc(func(ctx context.Context) (err error) {
		pdf, _, err = cdppage.PrintToPDF().WithPrintBackground(false).Do(ctx)
		return err
	}))
	assert.Greater(t, len(pdf), 20_000, "bytes of the PDF")
	if dir := os.Getenv("SHOTS"); dir != "" {
		_ = os.WriteFile(filepath.Join(dir, "report.pdf"), pdf, 0o644)
	}

	for _, address := range requested() {
		if address != file && !strings.HasPrefix(address, file+"#") && !strings.HasPrefix(address, "blob:") {
			t.Errorf("the page requests %s", address)
		}
	}
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	require.NoError(t, err)
	return v
}

// TestPagesBrowser opens the page of a sweep and that of two comparisons: nothing is
// wider than the screen, axe-core finds nothing, and the console stays empty.
func TestPagesBrowser(t *testing.T) {
	ctx, _ := browser(t)
	for name, text := range map[string]string{
		"pair":  encoded(t, PairHTML, Compare(hostileReport(t), hostileReport(t))),
		"after": encoded(t, PairHTML, Compare(failing(t, 50), failing(t, 0))),
		"sweep": pageOf(t, swept(t)),
		"empty": pageOf(t, reportOf(t)),
	} {
		path := filepath.Join(t.TempDir(), name+".html")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		for width, scheme := range map[int64]string{1280: "light", 390: "dark"} {
			what := fmt.Sprintf("%s-%d-%s", name, width, scheme)
			run(t, ctx, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}), chromedp.Navigate("file://"+path))
			browsertest.Resize(t, ctx, width, 844)
			browsertest.Shoot(t, ctx, what)
			readable(t, ctx, what)
		}
	}
}

// TestLiveBrowser: while a comparison runs, its page grows without being loaded
// again: what was opened stays open.
func TestLiveBrowser(t *testing.T) {
	ctx, _ := browser(t)
	runs := comparison()
	var there atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			w.WriteHeader(http.StatusNoContent) // the browser asks for an icon
			return
		}
		live, err := NewLive(nil, of(runs[:there.Load()]...))
		assert.NoError(t, err)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("ETag", live.Version)
		_, _ = w.Write(live.Page)
	}))
	defer server.Close()
	const plots = `String(document.querySelectorAll("article.plot").length)`
	grown := func(want string) string {
		return fmt.Sprintf(`new Promise(done => { const timer = setInterval(() => {
			const n = document.querySelectorAll("article.plot").length;
			if (n === %s) { clearInterval(timer); done(String(n) + " " + window.kept + " " + document.getElementById("definitions").open) }
		}, 50) })`, want)
	}
	run(t, ctx, chromedp.Navigate(server.URL), chromedp.Evaluate(`window.kept = "kept"; document.getElementById("definitions").open = true; ""`, nil))
	assert.Equal(t, "0", evaluate(t, ctx, plots), "pictures before the first run")
	there.Store(2)
	assert.Equal(t, "2 kept true", evaluate(t, ctx, grown("2")), "two pictures in the same page, and what was opened")
	there.Store(3)
	assert.Equal(t, "3 kept true", evaluate(t, ctx, grown("3")), "three pictures in the same page, and what was opened")
}
