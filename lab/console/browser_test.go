package console

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/browsertest"
	"fleetman.example/lab/local"
	"fleetman.example/lab/skip"
)

// hostile is a name with markup.
const hostile = `<img src=x onerror="window.broken=1">`

// tab is one tab of a browser, with the addresses that it requested and the problems of its scripts.
type tab struct {
	*testing.T
	ctx context.Context

	mu                  sync.Mutex
	requested, problems []string
}

// openTab starts a browser.
func openTab(t *testing.T, width, height int64) *tab {
	t.Helper()
	ctx := browsertest.Start(t)
	b := &tab{T: t, ctx: ctx}
	chromedp.ListenTarget(ctx, func(event any) {
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
	})
	b.run(network.Enable(), runtime.Enable(), log.Enable(), emulation.SetDeviceMetricsOverride(width, height, 1, false))
	return b
}

// wide returns the width of the window, and the elements that make the page wider than it.
const wide = `innerWidth + ":" + (document.documentElement.scrollWidth <= innerWidth ? "" : [...document.querySelectorAll("body *")]
	.filter(e => e.getBoundingClientRect().right > innerWidth + 1)
	.map(e => e.tagName + " " + e.className + " to " + e.getBoundingClientRect().right).join("; "))`

// fits fails the test if the page scrolls to the side in a window of the size. The size is set until the page
// has it: a browser that is still changing to another page's process forgets it.
func (b *tab) fits(width, height int64) {
	b.Helper()
	browsertest.Until(b.T, b.ctx, "the window's width, and what is wider", wide, fmt.Sprintf("%d:", width),
		emulation.SetDeviceMetricsOverride(width, height, 1, false))
}

func (b *tab) run(actions ...chromedp.Action) {
	b.Helper()
	require.NoError(b, chromedp.Run(b.ctx, actions...))
}

// until evaluates script in the page until the result is want.
func (b *tab) until(what, script, want string) {
	b.Helper()
	browsertest.Until(b.T, b.ctx, what, script, want)
}

func (b *tab) shoot(name string) { browsertest.Shoot(b.T, b.ctx, name) }

// accessible fails the test for every violation that axe-core finds.
func (b *tab) accessible(what string) {
	b.Helper()
	browsertest.Accessible(b.T, b.ctx, "ui/node_modules/axe-core/axe.min.js", what)
}

// check fails for every request to another host, and every broken script.
func (b *tab) check(base string) {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, address := range b.requested {
		if !strings.HasPrefix(address, base) && !strings.HasPrefix(address, "data:") {
			b.Errorf("the page requested %s", address)
		}
	}
	assert.GreaterOrEqual(b, len(b.requested), 5, "requests")
	assert.Empty(b, b.problems, "of scripts")
}

// serveFake serves the built page with a fleet at an address; port 0 is a free one.
func serveFake(t *testing.T, source Source, port int) *Server {
	t.Helper()
	listener, err := Listen(netip.MustParseAddr("127.0.0.1"), port)
	require.NoError(t, err)
	server, err := Serve(listener, source, nil)
	if err != nil {
		skip.Without(t, err)
	}
	t.Cleanup(server.Close)
	return server
}

// movingFleet is a fleet whose counters grow with time.
type movingFleet struct {
	*fake
	began time.Time
}

func (f movingFleet) Read(ctx context.Context) (*Reading, error) {
	now := time.Now()
	n := int(now.Sub(f.began).Seconds() * 40)
	r := smallFleet(n)
	for _, pod := range r.Pods {
		for _, upstream := range pod.Upstreams {
			upstream.Endpoints[0].OpenUntil = f.began.Add(5 * time.Minute)
		}
	}
	r.Pods[0].Faults = ""
	r.Pods[1].Why, r.Pods[1].Ready = hostile, false
	if _, err := f.fake.Read(ctx); err != nil {
		return nil, err
	}
	r.Time = now // of the count, so that the rate is right on a slow machine, too
	return r, nil
}

func newMovingFleet() movingFleet {
	source := &fake{lessons: Lessons{
		Scenarios: []Scenario{{"plain", "No mesh"}, {"circuit-breaking", "A circuit breaker in the mesh"}},
		Open: &Lesson{
			Scenario{"circuit-breaking", "A circuit breaker in the mesh"},
			"<h1>A circuit breaker</h1>\n<p>Two replicas, <a href=\"../x\">one</a> of them bad.</p>\n<h2>Try it</h2>\n<pre><code>fleetman up</code></pre>",
			[]Promise{{"the bad replica is ejected", 30, "fleetman check circuit-breaking", "", nil}, {"another", 0, "fleetman check x", "it needs a fleet with a:B=c", nil}},
		},
	}}
	source.noted = []local.Event{{Time: time.Now(), Pod: hostile, Kind: local.Ejected, Detail: "its proxy ejected staff-service-bad-0"}}
	source.set(&Reading{})
	return movingFleet{source, time.Now()}
}

func TestPage(t *testing.T) {
	fleet := newMovingFleet()
	server := serveFake(t, fleet, 0)
	b := openTab(t, 1280, 800)
	b.run(chromedp.Navigate(server.URL()))
	b.until("the nodes", `[...document.querySelectorAll(".card .title")].map(e => e.textContent).sort().join()`,
		"api-gateway,istio-ingressgateway,monitoring.example.com,position-simulator,staff-service")
	b.until("their calls", `[...document.querySelectorAll(".label .spoken")].filter(e => / to /.test(e.textContent)).map(e => e.textContent.split(":")[0]).sort().join()`,
		"api-gateway to monitoring.example.com,api-gateway to staff-service,istio-ingressgateway to api-gateway")
	b.until("the ejection", `[...document.querySelectorAll(".trouble")].some(e => e.textContent.includes("ejected by api-gateway-0")) + ""`, "true")
	b.until("library and mesh apart", `[...document.querySelectorAll(".icon.library, .icon.mesh")].map(e => e.title).sort().join()`,
		"a breaker of the library is not closed,the mesh ejects a host")
	b.until("mutual TLS", `document.querySelectorAll(".icon.mutual").length + " " + document.querySelectorAll(".icon.plain").length`, "1 2")
	b.until("traffic on the edge", `String([...document.querySelectorAll(".label .rate")].some(e => /^(3\d|4\d)\/s$/.test(e.textContent)))`, "true")
	b.until("names as text", `String(window.broken) + document.querySelectorAll('img[src="x"]').length`, "undefined0")
	b.until("the lesson", `document.querySelector(".lesson h2").textContent + document.querySelectorAll(".lesson a").length`, "A circuit breaker0")
	b.accessible("lesson")
	b.shoot("console-1280-lesson")

	b.run(chromedp.Click(`//div[contains(@class,"promise")]//button[contains(text(),"Check")]`, chromedp.BySearch))
	b.until("a checked promise", `document.querySelector(".promise .result").textContent + document.querySelector(".findings").textContent`,
		"The promise holds.holds 60 requests: 60 responses; saw 60 of 60 requests")

	// A fault by keyboard alone.
	const pick = `//button[contains(@class,"pick")][contains(.,"staff-service-bad-0")]`
	b.run(chromedp.Focus(pick, chromedp.BySearch), chromedp.KeyEvent(kb.Enter))
	b.until("the pod", `document.querySelector("#panel-selected h2").textContent + " " + location.hash`, "staff-service-bad-0 #node=staff-service&pod=staff-service-bad-0")
	b.run(chromedp.SetValue(`//select[option[contains(text(),"half of the answers 503")]]`, "status=503,rate=0.5", chromedp.BySearch))
	b.run(chromedp.Evaluate(`document.querySelector("#panel-selected select").dispatchEvent(new Event("change"))`, nil))
	b.until("its command", `document.querySelector("#panel-selected code").textContent`, "fleetman fault staff-service-bad-0 status=503,rate=0.5")
	b.run(chromedp.Click(`//button[text()="Set"]`, chromedp.BySearch))
	b.until("the result", `[...document.querySelectorAll("#panel-selected .result")].map(e => e.textContent).join("") + " " + document.getElementById("announcer").textContent`, "done done")
	fleet.mu.Lock()
	assert.Equal(t, []Change{{Do: "fault", Pod: "staff-service-bad-0", Rules: "status=503,rate=0.5"}}, fleet.changes)
	fleet.mu.Unlock()
	b.accessible("selected")
	b.shoot("console-1280-selected")
	for _, name := range []string{"Load", "Traces", "Events"} {
		b.run(chromedp.Click(`//button[@role="tab"][text()="`+name+`"]`, chromedp.BySearch))
		b.accessible(name)
		b.shoot("console-1280-" + strings.ToLower(name))
	}
	b.until("the event", `document.querySelector(".event strong").textContent`, hostile)
	b.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
	b.accessible("dark")
	b.shoot("console-1280-dark")
	b.until("no motion", `getComputedStyle(document.querySelector(".flow")).animationName`, "none")
	b.check(server.URL())
}

// TestPageReturns ends the fleet under its page, and starts another one.
func TestPageReturns(t *testing.T) {
	server := serveFake(t, newMovingFleet(), 0)
	port := server.listener.Addr().(*net.TCPAddr).Port
	b := openTab(t, 390, 844)
	b.run(chromedp.Navigate(server.URL() + "/#node=api-gateway"))
	b.until("the node", `document.querySelector("#panel-selected h2").textContent`, "api-gateway")
	b.until("the legends", `String([...document.querySelectorAll(".legend .part")].map(e => e.textContent += " of a long name".repeat(9)).length > 3)`, "true")
	b.fits(390, 844)
	b.accessible("narrow")
	b.shoot("console-390")
	server.Close()
	b.until("the end", `String(document.getElementById("banner").textContent.startsWith("The fleet has ended"))`, "true")
	serveFake(t, newMovingFleet(), port)
	b.until("the return", `document.getElementById("banner").hidden + " " + document.querySelector("#panel-selected h2").textContent`, "true api-gateway")
}

// TestCrowd shows sixty pods, and bounds the CPU time that the page takes for a state: what else the machine does
// takes none of it.
func TestCrowd(t *testing.T) {
	fleet := newMovingFleet()
	source := crowd{fleet}
	server := serveFake(t, source, 0)
	b := openTab(t, 1280, 800)
	b.run(chromedp.Navigate(server.URL()))
	b.until("a tile for each pod", `String(document.querySelectorAll(".tile").length)`, "60")
	b.run(performance.Enable())
	const states = 5
	before, read := b.cpu(), fleet.reads.Load()
	for fleet.reads.Load() < read+states && b.ctx.Err() == nil { // one a second
		time.Sleep(100 * time.Millisecond)
	}
	took := b.cpu() - before
	each := took / time.Duration(fleet.reads.Load()-read) // more than five, when the test was not woken in time
	t.Logf("%v of CPU time for each state", each)
	assert.LessOrEqual(t, each, 250*time.Millisecond, "CPU time of a state: with more the page is not smooth")
	b.accessible("crowd")
	b.shoot("console-crowd")
}

// cpu returns the CPU time of the page's main thread.
func (b *tab) cpu() time.Duration {
	b.Helper()
	var metrics []*performance.Metric
	b.run(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		metrics, err = performance.GetMetrics().Do(ctx)
		return err
	}))
	i := slices.IndexFunc(metrics, func(m *performance.Metric) bool { return m.Name == "ThreadTime" })
	require.GreaterOrEqual(b, i, 0, "ThreadTime among %+v", metrics)
	return time.Duration(metrics[i].Value * float64(time.Second))
}

// crowd is a fleet with sixty pods of one Service.
type crowd struct{ movingFleet }

func (f crowd) Read(ctx context.Context) (*Reading, error) {
	r, err := f.movingFleet.Read(ctx)
	if err != nil {
		return nil, err
	}
	for i := range 60 {
		pod := *r.Pods[1]
		pod.Name, pod.Ready, pod.Why, pod.Address = fmt.Sprintf("vehicle-telemetry-%d", i), true, "", fmt.Sprintf("127.0.2.%d", i)
		pod.Deployment, pod.Program, pod.Services = "vehicle-telemetry", "vehicle-telemetry", []string{"fleetman-vehicle-telemetry"}
		r.Pods = append(r.Pods, &pod)
	}
	return r, nil
}
