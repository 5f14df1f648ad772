package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"fleetman.example/kit/server/servertest"
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

// Paths of the page's requests to the gateway, without the vehicle's name.
const (
	positionsPath = "/vehicles/"
	driverPath    = "/vehicles/driver/"
	trailPath     = "/history/"
)

// fakeGateway serves a fleet that moves one step north with every request.
type fakeGateway struct {
	photos string

	mu       sync.Mutex
	looks    int
	age      time.Duration     // of every report
	fails    map[string]bool   // by path: answers 500
	fallback map[string]string // by path: X-Fallback of the answer
	crowd    int               // vehicles at one spot, in addition to the others
}

// set changes the gateway's answers.
func (g *fakeGateway) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

func (g *fakeGateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	name, what := lastOf(r.URL.Path)
	if g.fails[what] {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"status":500,"error":"Internal Server Error","message":"status 500 reading position-tracker GET /vehicles/"}`)
		return
	}
	fallback := g.fallback[what]
	if fallback != "" {
		w.Header().Set("X-Fallback", fallback)
	}
	var answer any
	switch {
	case what == positionsPath && fallback == "placeholder":
		answer = []string{}
	case what == positionsPath:
		g.looks++
		answer = g.positions()
	case what == trailPath:
		answer = []map[string]float64{{"lat": 53.36, "lng": -1.48}, {"lat": 53.37, "lng": -1.48}}
	case what == driverPath && fallback == "placeholder":
		answer = map[string]string{"name": "Unknown driver", "photo": "placeholder.png"}
	case what == driverPath && drivers[name] != "":
		answer = map[string]string{"name": drivers[name], "photo": g.photos + url.PathEscape(name) + ".svg"}
	case what == driverPath:
		w.WriteHeader(http.StatusNotFound)
		answer = map[string]any{"status": 404, "error": "Not Found", "message": "nobody drives it"}
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (g *fakeGateway) positions() []map[string]any {
	starts := map[string][2]float64{
		"City Truck": {53.38, -1.48}, "Huddersfield Truck A": {53.65, -1.79}, "Huddersfield Truck B": {53.63, -1.75},
		"London Riverside": {51.5, -0.09}, stale: {53.2, -1.7}, hostile: {52.5, 0.5},
	}
	for i := range g.crowd {
		starts[fmt.Sprintf("Depot Van %d", i+1)] = [2]float64{52.2, -1.1}
	}
	var all []map[string]any
	for name, start := range starts {
		at := time.Now().Add(-g.age)
		if name == stale {
			at = at.Add(-time.Minute)
		}
		all = append(all, map[string]any{
			"name": name, "lat": start[0] + 0.0002*float64(g.looks), "lng": start[1],
			"timestamp": at.UTC().Format("2006-01-02T15:04:05.000-0700"), "speed": 31.4,
		})
	}
	// A report that cannot be read must not hide the others.
	return append(all, map[string]any{"name": "Broken", "lat": "north"})
}

func lastOf(path string) (name, before string) {
	i := strings.LastIndex(path, "/") + 1
	return path[i:], path[:i]
}

// serveFleet starts the page and its experimental variant, with a gateway.
func serveFleet(t *testing.T) (fleet *fakeGateway, base, experiment string) {
	t.Helper()
	page := pageOf(t)
	photos := servertest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "Huddersfield") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "image/svg+xml")
		fmt.Fprint(w, `<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8"/></svg>`)
	})
	fleet = &fakeGateway{photos: photos.URL + "/photos/", fails: map[string]bool{}, fallback: map[string]string{}}
	gateway := servertest.Serve(t, fleet.ServeHTTP)
	base = serveFrom(t, page, "API_GATEWAY_URL="+gateway.URL, "PHOTO_ORIGINS="+photos.URL)
	experiment = serveFrom(t, page, "API_GATEWAY_URL="+gateway.URL, "VARIANT=experimental", "PHOTO_ORIGINS="+photos.URL)
	return fleet, base, experiment
}

// bannerText returns the text of the banner, without times.
const bannerText = `document.getElementById("banner").textContent.replace(/\d\d:\d\d:\d\d/g, "TIME").replace(/up to \d+ \w+/, "up to AGE")`

func TestBrowser(t *testing.T) {
	browser := chromium(t)
	fleet, base, experiment := serveFleet(t)
	b := open(t, browser)
	b.run(chromedp.Navigate(base + "/"))

	// The list and the map have all vehicles, by name; markup in a name stays text.
	want := []string{hostile, "City Truck", "Huddersfield Truck A", "Huddersfield Truck B", "London Riverside", stale}
	b.until("the list of six vehicles", `JSON.stringify([...document.querySelectorAll(".row .who")].map(e => e.textContent))`, asJSON(want))
	b.until("six markers", `JSON.stringify([...document.querySelectorAll(".vehicle .name")].map(e => e.textContent).sort())`, asJSON(want))
	b.until("nothing of the hostile name as HTML", `String(window.broken) + document.querySelectorAll('img[src="x"]').length`, "undefined0")
	const late = "Positions late since TIME: 1 vehicle, up to AGE\n1 report in the last answer could not be read"
	b.until("a message about the late vehicle and the unreadable report", bannerText, late)
	b.until("one stale vehicle", `document.querySelector(".row.stale .who").textContent + ", " + document.getElementById("summary").textContent`, stale+", 1 of 6 late, up to 1 min")
	b.until("its speed", `document.querySelector(".row .speed").textContent`, "31 mph")

	// A vehicle chosen with the keyboard shows driver and photo, and moves.
	b.run(chromedp.Focus(`//li[.//*[text()="City Truck"]]/button`, chromedp.BySearch), chromedp.KeyEvent(kb.Enter))
	b.until("the address", `location.pathname`, "/vehicle/City%20Truck")
	b.until("the driver", `document.querySelector(".driver").textContent`, "Pam Parry")
	b.until("her photo", `String(document.querySelector(".portrait img")?.naturalWidth > 0)`, "true")
	b.run(chromedp.Click(".follow"))
	const north = `document.querySelector(".pin.selected").getBoundingClientRect().top`
	var before float64
	b.run(chromedp.Evaluate(north, &before))
	b.until("City Truck further north", fmt.Sprintf(`String(%s < %f)`, north, before-10), "true")

	// Answers for a driver.
	b.run(chromedp.Click(`//li[.//*[text()="Huddersfield Truck A"]]/button`, chromedp.BySearch))
	b.until("initials for a photo that fails", `document.querySelector(".driver").textContent + " " + document.querySelector(".portrait").textContent`, "Duke T. Dog DD")
	b.run(chromedp.Evaluate(`document.querySelector(".row .pick").click()`, nil))
	b.until("nobody", `document.querySelector("h2").textContent + " " + document.querySelector(".driver").textContent`, hostile+" no driver")
	b.run(chromedp.NavigateBack())
	b.until("back", `document.querySelector(".driver").textContent`, "Duke T. Dog")

	// A failure of the API is shown, with the last known fleet, until it is repaired.
	fleet.set(func() { fleet.fails[positionsPath] = true })
	b.until("the failure", bannerText,
		"Positions unavailable since TIME: status 500 reading position-tracker GET /vehicles/")
	b.until("the fleet still there", `String(document.querySelectorAll(".row").length)`, "6")
	fleet.set(func() { fleet.fails[positionsPath] = false })
	b.until("the recovery", bannerText, late)

	// The experimental variant, and a vehicle's own address.
	const header = `document.title + " " + getComputedStyle(document.querySelector("header")).backgroundColor`
	b.run(chromedp.Navigate(experiment + "/experimental/vehicle/London%20Riverside"))
	b.until("the experimental header", header, titles[experimental]+" rgb(185, 28, 28)")
	b.until("its driver", `document.querySelector(".driver").textContent`, "Herman Boyce")
	b.run(chromedp.Click(".close"))
	b.until("its own path kept", `location.pathname`, "/experimental")

	b.checkHosts(base, experiment, fleet.photos)
}

// chosenText returns the text of the panel, without changing numbers.
const chosenText = `[...document.querySelectorAll(".details h2, .details .driver, .details .quality, .details .note")]
	.filter(e => !e.hidden).map(e => e.textContent).join(" | ").replace(/\d+ s ago|just now/, "AGE")`

// TestBrowserDegraded checks that degraded answers are marked, that the badge does not call them live, and that
// every message clears after the repair.
func TestBrowserDegraded(t *testing.T) {
	browser := chromium(t)
	fleet, base, _ := serveFleet(t)
	fleet.set(func() { fleet.fails[positionsPath], fleet.fails[trailPath], fleet.fails[driverPath] = true, true, true })
	b := open(t, browser)
	b.run(chromedp.Navigate(base + "/vehicle/City%20Truck"))
	const reason = "status 500 reading position-tracker GET /vehicles/"
	b.until("driver and trail unavailable", chosenText, "City Truck | driver unavailable | "+reason+" | trail unavailable: "+reason)
	b.until("no claim about the vehicle either", `document.querySelector(".facts").textContent`, "position unknown")

	fleet.set(func() {
		clear(fleet.fails)
		fleet.fallback[driverPath], fleet.fallback[trailPath] = "placeholder", "last-known; age=40s"
	})
	b.until("a placeholder is no person", chosenText+` + " " + document.querySelector(".portrait").textContent`,
		"City Truck | driver unknown | placeholder | trail last known, AGE ?")
	fleet.set(func() { fleet.fallback[driverPath], fleet.fallback[trailPath] = "last-known; age=12s", "" })
	b.until("the last known driver, with the age", chosenText, "City Truck | Pam Parry | last known, AGE")
	b.until("looks degraded", `getComputedStyle(document.querySelector(".portrait")).borderStyle`, "dashed")
	var age string
	b.run(chromedp.Evaluate(`document.querySelector(".quality").textContent`, &age))
	b.until("the age goes on", fmt.Sprintf(`String(document.querySelector(".quality").textContent !== %q)`, age), "true")
	fleet.set(func() { clear(fleet.fallback) })
	b.until("all of it clears after the repair", chosenText, "City Truck | Pam Parry")
	fleet.set(func() { fleet.fails[driverPath] = true })
	b.until("a failure shows on an open panel", chosenText, "City Truck | Pam Parry | last known, AGE · "+reason)
	fleet.set(func() { clear(fleet.fails) })
	b.until("and clears", chosenText, "City Truck | Pam Parry")

	const badge = `document.getElementById("summary").textContent.replace(/\d\d:\d\d:\d\d/, "TIME") + "; " +
		document.getElementById("banner").textContent.replace(/\d\d:\d\d:\d\d/g, "TIME") + "; " + document.getElementById("announcer").textContent`
	const late = "Positions late since TIME: 1 vehicle, up to 1 min\n1 report in the last answer could not be read"
	fleet.set(func() { fleet.age = 6 * time.Second })
	b.until("late positions are not live", `document.getElementById("summary").textContent`, "6 of 6 late, up to 1 min")
	fleet.set(func() { fleet.age = 0 })
	fleet.set(func() { fleet.fails[positionsPath] = true })
	b.until("nothing is live without an answer", badge,
		"6 vehicles as of TIME; Positions unavailable since TIME: "+reason+"; Positions are unavailable")
	fleet.set(func() { fleet.fails[positionsPath], fleet.fallback[positionsPath] = false, "last-known; age=3s" })
	b.until("nor with the last known", badge,
		"6 vehicles as of TIME; Positions degraded since TIME: last known at TIME; Positions are the last known")
	fleet.set(func() { fleet.fallback[positionsPath] = "placeholder" })
	b.until("nor with a placeholder, which takes no vehicle away", badge+` + "; " + document.querySelectorAll(".row").length`,
		"6 vehicles as of TIME; Positions degraded since TIME: last known at TIME; Positions are unavailable; 6")
	fleet.set(func() { clear(fleet.fallback) })
	b.until("live again", badge, "1 of 6 late, up to 1 min; "+late+"; Some positions are late")
}

// TestBrowserKeyboard uses the page without a mouse: the list comes first, Enter moves the focus into
// the panel, Escape returns it.
func TestBrowserKeyboard(t *testing.T) {
	browser := chromium(t)
	_, base, _ := serveFleet(t)
	b := open(t, browser)
	b.run(chromedp.Navigate(base + "/"))
	b.until("the list", `String(document.querySelectorAll(".row").length)`, "6")
	const focused = `(document.activeElement.id || document.activeElement.title || document.activeElement.className || document.activeElement.tagName)`
	b.run(chromedp.KeyEvent(kb.Tab))
	b.until("the list first", focused+` + " " + document.activeElement.textContent.startsWith("<img")`, "pick true")
	b.run(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	b.until("the panel after a choice", focused+` + " " + document.querySelector("h2").textContent`, "details City Truck")
	stops := []string{}
	for range 9 {
		var stop string
		b.run(chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(focused, &stop))
		stops = append(stops, stop)
	}
	want := []string{
		"follow", "close", "map", "Zoom in", "Zoom out",
		"Leaflet, in a new tab", "Natural Earth, in a new tab", "GeoNames, in a new tab", "BODY",
	}
	if asJSON(stops) != asJSON(want) {
		t.Errorf("tab order after the panel: got\n%s, want\n%s", asJSON(stops), asJSON(want))
	}
	b.until("links that keep the map open", `JSON.stringify([...document.querySelectorAll("a[href^=http]")].filter(a => a.target !== "_blank" || a.rel !== "noopener"))`, "[]")
	b.run(chromedp.KeyEvent(kb.Escape))
	b.until("Escape closes", `location.pathname + " " + document.getElementById("details").hidden`, "/ true")
	b.until("and leads back", focused+` + " " + document.activeElement.querySelector(".who").textContent`, "pick City Truck")
	b.run(chromedp.KeyEvent(kb.Enter), chromedp.Click(".close"))
	b.until("as the button does", focused+` + " " + document.activeElement.querySelector(".who").textContent`, "pick City Truck")
	b.until("one live region, not the panel", `JSON.stringify([...document.querySelectorAll("[aria-live], [role=status], [role=alert], [role=log]")].map(e => e.id))`, `["announcer"]`)

	// The map moves smoothly; with prefers-reduced-motion it jumps.
	b.run(chromedp.Evaluate(`window.animated = 0; new MutationObserver(() => document.querySelector(".leaflet-zoom-anim, .leaflet-pan-anim") && window.animated++)
		.observe(document.getElementById("map"), {subtree: true, attributes: true, attributeFilter: ["class"]})`, nil))
	const scale = `document.querySelector(".leaflet-control-scale-line").textContent`
	zoomIn := func() {
		var before string
		b.run(chromedp.Evaluate(scale, &before), chromedp.Click(".leaflet-control-zoom-in"))
		b.until("another scale", fmt.Sprintf(`String(%s !== %q)`, scale, before), "true")
	}
	zoomIn()
	b.until("an animation", `String(window.animated > 0 && !document.querySelector(".leaflet-zoom-anim"))`, "true")
	b.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}))
	b.until("no transition", `getComputedStyle(document.querySelector(".leaflet-zoom-animated")).transitionDuration`, "0s")
	b.run(chromedp.Evaluate(`window.animated = 0`, nil))
	zoomIn()
	b.run(chromedp.Focus("#map"), chromedp.KeyEvent(kb.ArrowRight))
	b.until("no animation", `String(window.animated)`, "0")
}

// TestBrowserCrowd has 40 vehicles at one spot: the map shows their number, and each can be chosen.
func TestBrowserCrowd(t *testing.T) {
	browser := chromium(t)
	fleet, base, _ := serveFleet(t)
	fleet.set(func() { fleet.crowd = 40 })
	b := open(t, browser)
	b.run(chromedp.Navigate(base + "/"))
	const groups = `[...document.querySelectorAll(".pin.group:not([hidden])")].map(e => e.textContent).join()`
	b.until("the number", groups, "40 vehicles here: Depot Van 1 + 39")
	b.run(chromedp.Focus(".pin.group"), chromedp.KeyEvent(kb.Enter))
	b.until("the names, with the focus", `document.querySelectorAll(".chooser .pick").length + " " + document.activeElement.textContent`, "40 Depot Van 1")
	b.run(chromedp.KeyEvent(kb.Escape))
	b.until("Escape back to the map", `document.querySelectorAll(".chooser").length + " " + document.activeElement.className`, "0 pin group")
	b.run(chromedp.Click(".pin.group"))
	b.until("a click as well", `String(document.querySelectorAll(".chooser .pick").length)`, "40")
	b.run(chromedp.Click(`//*[@class="chooser"]//button[.//*[text()="Depot Van 17"]]`, chromedp.BySearch))
	b.until("the one chosen", `document.querySelector("h2").textContent + " " + location.pathname`, "Depot Van 17 /vehicle/Depot%20Van%2017")
	b.until("stands apart", `document.querySelector(".pin.selected .name").textContent + " " + `+groups, "Depot Van 17 39 vehicles here: Depot Van 1 + 38")
}

// TestBrowserAccessible checks that axe-core finds no violation in any state of the page, light and dark.
func TestBrowserAccessible(t *testing.T) {
	browser := chromium(t)
	axe := axeCore(t)
	fleet, base, experiment := serveFleet(t)
	fleet.set(func() { fleet.crowd = 40 })
	b := open(t, browser)
	for _, scheme := range []string{"light", "dark"} {
		fleet.set(func() { clear(fleet.fails); clear(fleet.fallback) })
		b.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
		b.run(chromedp.Navigate(base + "/"))
		b.until("the list", `String(document.querySelectorAll(".row").length)`, "46")
		b.run(chromedp.Evaluate(`document.querySelector(".pin.group").click()`, nil))
		b.until("the chooser", `String(document.querySelectorAll(".chooser .pick").length)`, "40")
		b.until("it has faded in", `getComputedStyle(document.querySelector(".leaflet-popup")).opacity`, "1")
		b.check(axe, scheme+", the chooser open")
		b.run(chromedp.Navigate(base + "/vehicle/City%20Truck"))
		b.until("the driver", `document.querySelector(".driver").textContent`, "Pam Parry")
		b.check(axe, scheme+", a vehicle chosen")
		fleet.set(func() { fleet.fails[positionsPath], fleet.fallback[driverPath] = true, "placeholder" })
		b.run(chromedp.Navigate(experiment + "/experimental/vehicle/Village%20Truck"))
		b.until("both parts in the banner", `document.getElementById("banner").textContent.split("\n").map(line => line.split(" since")[0]).sort().join()`,
			"Driver degraded,Positions unavailable")
		b.until("the placeholder", `document.querySelector(".driver").textContent`, "driver unknown")
		b.check(axe, scheme+", experimental, degraded")
	}
}
