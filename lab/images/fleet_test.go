package main

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

	webapp.until(t, 80, "/api/vehicles/", "five vehicles", func(answer string) bool {
		return strings.HasPrefix(answer, "200 ") && strings.Count(answer, `"name":`) == 5 && strings.Contains(answer, `{"name":"City Truck","lat":53.`)
	})
	telemetry.until(t, 8080, "/vehicles/City%20Truck", "a speed", func(answer string) bool {
		speed, ok := strings.CutPrefix(answer, "200 ")
		_, err := strconv.ParseFloat(speed, 64)
		return ok && err == nil
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
		assert.Regexp(t, "^200 "+regexp.QuoteMeta(tc.prefix), tc.from.mustGet(t, tc.port, tc.path), tc.path)
	}
	page := webapp.mustGet(t, 80, "/vehicle/City%20Truck")
	assert.Regexp(t, "(?s)^200 .*<title>Fleet Management</title>", page)
	assert.Contains(t, page, "/assets/")
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

	for tag, want := range map[string]string{
		"6":             "200 " + pamParry,
		"6-placeholder": "200 " + placeholder,
		"6-fail-fast":   "502 ",
	} {
		t.Run("staff-service:"+tag, func(t *testing.T) {
			assert.Equal(t, want, start(t, "staff-service", tag, "").mustGet(t, 8080, driver))
		})
	}
	t.Run("staff-service:6-bad", func(t *testing.T) {
		staff := start(t, "staff-service", "6-bad", "")
		var mutex sync.Mutex
		found := map[string]bool{}
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() {
				answer, err := staff.get(8080, driver, nil)
				if strings.HasPrefix(answer, "502 ") {
					answer = "502"
				}
				mutex.Lock()
				defer mutex.Unlock()
				assert.NoError(t, err)
				found[answer] = true
			})
		}
		all.Wait()
		// each a coin's toss: that one never comes in 32 is as likely as 1 in 2 000 million
		assert.Equal(t, map[string]bool{"200 " + placeholder: true, "502": true}, found)
	})
	t.Run("webapp-angular:6-experimental", func(t *testing.T) {
		page := start(t, "webapp-angular", "6-experimental", "").mustGet(t, 80, "/experimental")
		assert.Regexp(t, "(?s)^200 .*<title>Fleet Management Istio Premium Enterprise Edition</title>", page)
	})
	t.Run("no-header-propagation", func(t *testing.T) {
		// tells who reaches it with the header
		start(t, "staff-service", "6", "fleetman-staff-service", "FAULTS=status=418,header=x-my-header:canary")
		for tag, want := range map[string]string{
			"6":                       "418 ",
			"6-no-header-propagation": "200 " + pamParry,
		} {
			gateway := start(t, "api-gateway", tag, "")
			answer, err := gateway.get(8080, "/vehicles"+driver, http.Header{"X-My-Header": {"canary"}})
			require.NoError(t, err)
			assert.Equal(t, want, answer, "api-gateway:%s", tag)
		}
		for _, s := range []string{"webapp-angular", "position-tracker", "vehicle-telemetry", "position-simulator", "staff-service"} {
			start(t, s, "6-no-header-propagation", "")
		}
	})
}
