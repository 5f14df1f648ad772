package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
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
	"github.com/chromedp/chromedp/kb"
)

const (
	hostile = `<img src=x onerror="window.broken=1">`
	stale   = "Village Truck"
)

// drivers of the test's fleet; the hostile vehicle has none.
var drivers = map[string]string{
	"City Truck":           "Pam Parry",
	"Huddersfield Truck A": "Duke T. Dog",
	"Huddersfield Truck B": "Denzil Tulser",
	"London Riverside":     "Herman Boyce",
	stale:                  "June Snell",
}

// fakeGateway is a fleet that moves a step north with every look at it.
type fakeGateway struct {
	photos string

	mu    sync.Mutex
	looks int
	down  bool
}

func (g *fakeGateway) setDown(down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = down
}

func (g *fakeGateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.down {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"status":500,"error":"Internal Server Error","message":"status 500 reading position-tracker GET /vehicles/"}`)
		return
	}
	var answer any
	switch name, what := lastOf(r.URL.Path); what {
	case "/vehicles/":
		g.looks++
		answer = g.positions()
	case "/history/":
		answer = []map[string]float64{{"lat": 53.36, "lng": -1.48}, {"lat": 53.37, "lng": -1.48}}
	case "/vehicles/driver/":
		driver, ok := drivers[name]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"status":404,"error":"Not Found","message":"nobody drives it"}`)
			return
		}
		answer = map[string]string{"name": driver, "photo": g.photos + url.PathEscape(name) + ".svg"}
	default:
		http.NotFound(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (g *fakeGateway) positions() []map[string]any {
	starts := map[string][2]float64{
		"City Truck": {53.38, -1.48}, "Huddersfield Truck A": {53.65, -1.79}, "Huddersfield Truck B": {53.63, -1.75},
		"London Riverside": {51.5, -0.09}, stale: {53.2, -1.7}, hostile: {52.5, 0.5},
	}
	var all []map[string]any
	for name, start := range starts {
		at := time.Now()
		if name == stale {
			at = at.Add(-time.Minute)
		}
		all = append(all, map[string]any{
			"name": name, "lat": start[0] + 0.0002*float64(g.looks), "lng": start[1],
			"timestamp": at.UTC().Format("2006-01-02T15:04:05.000-0700"), "speed": 31.4,
		})
	}
	// One that cannot be read must not hide the others.
	return append(all, map[string]any{"name": "Broken", "lat": "north"})
}

func lastOf(path string) (name, before string) {
	i := strings.LastIndex(path, "/") + 1
	return path[i:], path[:i]
}

func TestBrowser(t *testing.T) {
	browser := chromium(t)
	page := pageOf(t)
	photos := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "Huddersfield") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "image/svg+xml")
		fmt.Fprint(w, `<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8"/></svg>`)
	}))
	t.Cleanup(photos.Close)
	fleet := &fakeGateway{photos: photos.URL + "/photos/"}
	gateway := httptest.NewServer(fleet)
	t.Cleanup(gateway.Close)
	base := serveFrom(t, page, "API_GATEWAY_URL="+gateway.URL, "PHOTO_ORIGINS="+photos.URL)
	experiment := serveFrom(t, page, "API_GATEWAY_URL="+gateway.URL, "VARIANT=experimental", "PHOTO_ORIGINS="+photos.URL)

	b := open(t, browser)
	b.run(chromedp.Navigate(base + "/"))

	// The whole fleet, by name, in the list and on the map; what is no name stays text.
	want := []string{hostile, "City Truck", "Huddersfield Truck A", "Huddersfield Truck B", "London Riverside", stale}
	b.until("the list of six vehicles", `JSON.stringify([...document.querySelectorAll(".row .who")].map(e => e.textContent))`, asJSON(want))
	b.until("six markers", `JSON.stringify([...document.querySelectorAll(".vehicle .name")].map(e => e.textContent).sort())`, asJSON(want))
	b.until("nothing of the hostile name as HTML", `String(window.broken) + document.querySelectorAll('img[src="x"]').length`, "undefined0")
	b.until("the unreadable report told", `document.getElementById("banner").textContent`, "1 report in the last answer could not be read")
	b.until("one stale vehicle", `document.querySelector(".row.stale .who").textContent + ", " + document.getElementById("summary").textContent`, stale+", 6 vehicles, 1 stale")
	b.until("its speed", `document.querySelector(".row .speed").textContent`, "31 mph")

	// Chosen with the keyboard: driver, photo, and it moves.
	b.run(chromedp.Focus(`//li[.//*[text()="City Truck"]]/button`, chromedp.BySearch), chromedp.KeyEvent(kb.Enter))
	b.until("the address", `location.pathname`, "/vehicle/City%20Truck")
	b.until("the driver", `document.querySelector(".driver").textContent`, "Pam Parry")
	b.until("her photo", `String(document.querySelector(".portrait img")?.naturalWidth > 0)`, "true")
	b.run(chromedp.Click(".follow"))
	const north = `document.querySelector(".pin.selected").getBoundingClientRect().top`
	var before float64
	b.run(chromedp.Evaluate(north, &before))
	b.until("City Truck further north", fmt.Sprintf(`String(%s < %f)`, north, before-10), "true")

	// What a driver's look-up may bring.
	b.run(chromedp.Click(`//li[.//*[text()="Huddersfield Truck A"]]/button`, chromedp.BySearch))
	b.until("initials for a photo that fails", `document.querySelector(".driver").textContent + " " + document.querySelector(".portrait").textContent`, "Duke T. Dog DD")
	b.run(chromedp.Evaluate(`document.querySelector(".row .pick").click()`, nil))
	b.until("nobody", `document.querySelector("h2").textContent + " " + document.querySelector(".driver").textContent`, hostile+" no driver")
	b.run(chromedp.NavigateBack())
	b.until("back", `document.querySelector(".driver").textContent`, "Duke T. Dog")

	// An API that fails is told, with the last known fleet kept, and forgotten when it is back.
	fleet.setDown(true)
	b.until("the failure", `document.getElementById("banner").textContent.replace(/\d\d:\d\d:\d\d/, "TIME")`,
		"Positions unavailable since TIME: status 500 reading position-tracker GET /vehicles/")
	b.until("the fleet still there", `String(document.querySelectorAll(".row").length)`, "6")
	fleet.setDown(false)
	b.until("the recovery", `document.getElementById("banner").textContent`, "1 report in the last answer could not be read")

	// The experimental variant, and a vehicle's own address.
	const header = `document.title + " " + getComputedStyle(document.querySelector("header")).backgroundColor`
	b.run(chromedp.Navigate(experiment + "/experimental/vehicle/London%20Riverside"))
	b.until("the experimental header", header, titles[experimental]+" rgb(185, 28, 28)")
	b.until("its driver", `document.querySelector(".driver").textContent`, "Herman Boyce")
	b.run(chromedp.Click(".close"))
	b.until("its own path kept", `location.pathname`, "/experimental")

	b.checkHosts(base, experiment, photos.URL+"/photos/")
}

// chromium is the browser's path.
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

// pageOf is the page as built, whose files all have a type that browsers take.
func pageOf(t *testing.T) fs.FS {
	t.Helper()
	page, err := fs.Sub(built, "ui/dist")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Stat(page, index); err != nil {
		missing(t, "the page is not built: run `make ui`")
	}
	_ = fs.WalkDir(page, ".", func(name string, entry fs.DirEntry, _ error) error {
		if !entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") && contentType(name) == "application/octet-stream" {
			t.Errorf("%s: contentType does not know it", name)
		}
		return nil
	})
	return page
}

// missing skips a test for want of a part of the system, which CI has to have.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// tab is one tab of a browser, and what it asked for.
type tab struct {
	*testing.T
	ctx context.Context

	mu       sync.Mutex
	asked    []string
	problems []string
}

func open(t *testing.T, browser string) *tab {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.Flag("headless", "new"),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-gpu", true),
		chromedp.WindowSize(1280, 800))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
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
		b.asked = append(b.asked, event.Request.URL)
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

// until evaluates a text in the page until it is what is wanted.
func (b *tab) until(what, script, want string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
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
	b.Fatalf("%s: the page has %q (%v), expected %q", what, got, err, want)
}

// checkHosts fails for every request outside the given addresses, and for every broken script.
func (b *tab) checkHosts(allowed ...string) {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, address := range b.asked {
		if !strings.HasPrefix(address, "data:") && !slices.ContainsFunc(allowed, func(a string) bool { return strings.HasPrefix(address, a) }) {
			b.Errorf("the page asked %s", address)
		}
	}
	if len(b.asked) < 10 {
		b.Errorf("saw %d requests, expected those of a page at work", len(b.asked))
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
