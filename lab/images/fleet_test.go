package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const pamParry = `{"name":"Pam Parry","photo":"https://rac-istio-course-images.s3.amazonaws.com/1.jpg"}`

// The whole fleet, each service by its Service's name.
func checkFleet(t *testing.T, d docker) {
	network := d.network(t)
	start := func(service, name string) container {
		return d.start(t, pod{image: registry + "fleetman/" + service + ":6", network: network, name: name})
	}
	staff := start("staff-service", "fleetman-staff-service")
	telemetry := start("vehicle-telemetry", "fleetman-vehicle-telemetry")
	tracker := start("position-tracker", "fleetman-position-tracker")
	gateway := start("api-gateway", "fleetman-api-gateway")
	webapp := start("webapp", "fleetman-webapp")
	simulator := start("position-simulator", "")

	webapp.until(t, 80, "/api/vehicles/", "five vehicles", func(a answer) bool {
		return a.status == 200 && strings.Count(a.body, `"name":`) == 5 && strings.Contains(a.body, `{"name":"City Truck","lat":53.`)
	})
	telemetry.until(t, 8080, "/vehicles/City%20Truck", "a speed", func(a answer) bool {
		_, err := strconv.ParseFloat(a.body, 64)
		return a.status == 200 && err == nil
	})
	for _, tc := range []struct {
		from   container
		port   int
		path   string
		prefix string // of the body
	}{
		{staff, 8080, "/driver/City%20Truck", pamParry},
		{webapp, 80, "/api/vehicles/driver/City%20Truck", pamParry},
		{tracker, 8080, "/vehicles/City%20Truck", `{"name":"City Truck","lat":53.`},
		{gateway, 8080, "/", "<p>Fleetman API Gateway at "},
		{simulator, 9090, "/healthz", "ok\n"},
	} {
		if a := tc.from.get(t, tc.port, tc.path); a.status != 200 || !strings.HasPrefix(a.body, tc.prefix) {
			t.Errorf("GET %s: got %d %s, want 200 %s…", tc.path, a.status, a.body, tc.prefix)
		}
	}
	const title = "<title>Fleet Management</title>"
	if a := webapp.get(t, 80, "/vehicle/City%20Truck"); a.status != 200 || !strings.Contains(a.body, title) || !strings.Contains(a.body, "/assets/") {
		t.Errorf("the page: got %d %s", a.status, a.body)
	}
	for _, c := range []container{simulator, webapp, gateway, tracker, telemetry, staff} {
		c.stop(t)
	}
}

// java is how the published manifests start every service.
var java = []string{"java", "-Xmx50m", "-jar", "webapp.jar"}

// The published tags, as the published manifests start them.
func checkVariants(t *testing.T, d docker) {
	network := d.network(t)
	start := func(t *testing.T, short, tag, name string, env ...string) container {
		image := registry + "richardchesterwood/istio-fleetman-" + short + ":" + tag
		return d.start(t, pod{image: image, network: network, name: name, env: append(env, "SPRING_PROFILES_ACTIVE=production-microservice"), command: java})
	}
	const driver = "/driver/City%20Truck"
	placeholder := strings.Replace(pamParry, "1.jpg", "placeholder.png", 1)

	for tag, want := range map[string]answer{
		"6":             {status: 200, body: pamParry},
		"6-placeholder": {status: 200, body: placeholder},
		"6-fail-fast":   {status: 502},
	} {
		t.Run("staff-service:"+tag, func(t *testing.T) {
			if a := start(t, "staff-service", tag, "").get(t, 8080, driver); a.status != want.status || a.body != want.body {
				t.Errorf("got %d %s, want %d %s", a.status, a.body, want.status, want.body)
			}
		})
	}
	t.Run("staff-service:6-bad", func(t *testing.T) {
		staff := start(t, "staff-service", "6-bad", "")
		var mutex sync.Mutex
		found := map[string]int{}
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() {
				a, err := staff.ask(http.MethodGet, 8080, driver, nil)
				kind := fmt.Sprintf("%d %s %v", a.status, a.body, err)
				if err == nil && a.status == 502 {
					kind = "502"
				}
				mutex.Lock()
				defer mutex.Unlock()
				found[kind]++
			})
		}
		all.Wait()
		// each a coin's toss: that one never comes in 32 is as likely as 1 in 2 000 million
		if good := "200 " + placeholder + " <nil>"; found[good] == 0 || found["502"] == 0 || len(found) != 2 {
			t.Errorf("got %v, want some %s and some 502", found, good)
		}
	})
	t.Run("webapp-angular:6-experimental", func(t *testing.T) {
		const title = "<title>Fleet Management Istio Premium Enterprise Edition</title>"
		if a := start(t, "webapp-angular", "6-experimental", "").get(t, 80, "/experimental"); a.status != 200 || !strings.Contains(a.body, title) {
			t.Errorf("got %d %s, want 200 %s", a.status, a.body, title)
		}
	})
	t.Run("no-header-propagation", func(t *testing.T) {
		// tells who reaches it with the header
		start(t, "staff-service", "6", "fleetman-staff-service", "FAULTS=status=418,header=x-my-header:canary")
		for tag, want := range map[string]answer{
			"6":                       {status: 418},
			"6-no-header-propagation": {status: 200, body: pamParry},
		} {
			gateway := start(t, "api-gateway", tag, "")
			a, err := gateway.ask(http.MethodGet, 8080, "/vehicles"+driver, http.Header{"X-My-Header": {"canary"}})
			if err != nil || a.status != want.status || a.body != want.body {
				t.Errorf("api-gateway:%s: got %d %s, %v; want %d %s", tag, a.status, a.body, err, want.status, want.body)
			}
		}
		for _, s := range []string{"webapp-angular", "position-tracker", "vehicle-telemetry", "position-simulator", "staff-service"} {
			start(t, s, "6-no-header-propagation", "")
		}
	})
}
