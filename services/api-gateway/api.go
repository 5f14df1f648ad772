package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"fleetman.example/kit/apierror"
	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

type api struct {
	tracker, staff *upstream.Client
	now            func() time.Time
}

func (a api) routes(r server.Router) http.Handler {
	r.GET("/", a.banner)
	r.GET("/vehicles", a.vehicles)
	r.GET("/vehicles/:name", server.Named("name"), a.pass(a.tracker, "name", "vehicles"))
	r.GET("/vehicles/driver/:name", server.Named("name"), a.pass(a.staff, "name", "driver"))
	r.GET("/history/:name", server.Named("name"), a.history)
	r.GET("/photos/:file", server.Named("file"), a.pass(a.staff, "file", "photos"))
	return withOrigin(r)
}

// banner answers with the service's name and the time, in the format of Java's Date.
func (a api) banner(c *gin.Context) {
	kind := "text/plain;charset=UTF-8"
	if strings.Contains(c.GetHeader("Accept"), "text/html") {
		kind = "text/html;charset=UTF-8"
	}
	at := a.now().UTC().Format("Mon Jan 02 15:04:05 MST 2006")
	c.Data(http.StatusOK, kind, fmt.Appendf(nil, "<p>Fleetman API Gateway at %s</p>", at))
}

// vehicles answers with the latest positions, or with none if the tracker gives no answer.
func (a api) vehicles(c *gin.Context) {
	resp, err := a.tracker.Do(c.Request.Context(), http.MethodGet, "/vehicles/", nil)
	var failed *upstream.Error
	switch {
	case errors.As(err, &failed) && failed.Status == 0:
		c.Data(http.StatusOK, "application/json", []byte("[]"))
	case err != nil:
		apierror.Write(c, err)
	default:
		answer(c, resp)
	}
}

// pass returns a handler that forwards the request for the name in param to the path of an upstream, and
// answers with the upstream's answer, unchanged.
func (a api) pass(to *upstream.Client, param, path string) gin.HandlerFunc {
	return func(c *gin.Context) {
		resp, err := to.Do(c.Request.Context(), http.MethodGet, upstream.Path(path, c.Param(param)), nil)
		if err != nil {
			apierror.Write(c, err)
			return
		}
		answer(c, resp)
	}
}

// history answers with the places where a vehicle was, oldest first.
func (a api) history(c *gin.Context) {
	resp, err := a.tracker.Do(c.Request.Context(), http.MethodGet, upstream.Path("history", c.Param("name")), nil)
	if err == nil && resp.Status == http.StatusOK {
		resp.Body, err = oldestFirst(resp.Body)
	}
	if err != nil {
		apierror.Write(c, err)
		return
	}
	answer(c, resp)
}

// oldestFirst returns the coordinates of the tracker's history, which is newest first, in reverse order.
func oldestFirst(history []byte) ([]byte, error) {
	var places []struct {
		Lat json.RawMessage `json:"lat"`
		Lng json.RawMessage `json:"lng"`
	}
	if err := json.Unmarshal(history, &places); err != nil {
		return nil, fmt.Errorf("history of position-tracker: %w", err)
	}
	slices.Reverse(places)
	return json.Marshal(places)
}

// noVehicles is the placeholder for the latest positions.
func noVehicles(r *http.Request) []byte {
	if r.URL.Path != "/vehicles/" {
		return nil
	}
	return []byte("[]")
}

// unknownDriver is the placeholder for a driver.
func unknownDriver(r *http.Request) []byte {
	if !strings.HasPrefix(r.URL.Path, "/driver/") {
		return nil
	}
	return []byte(`{"name":"Unknown driver","photo":"placeholder.png"}`)
}

// answer sends an upstream's answer, marked as degraded if it is.
func answer(c *gin.Context, resp *upstream.Response) {
	if degraded := resp.Header[upstream.FallbackHeader]; degraded != nil {
		c.Writer.Header()[upstream.FallbackHeader] = degraded
	}
	c.Data(resp.Status, resp.Header.Get("Content-Type"), resp.Body)
}
