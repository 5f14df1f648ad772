package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"fleetman.example/kit/apierror"
	"fleetman.example/kit/fleet"
	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

type api struct {
	history          *history
	fallback         bool // off: a failure of staff-service fails a report
	telemetry, staff *upstream.Client
	log              *slog.Logger
	now              func() time.Time
}

func (a api) routes(r server.Router) http.Handler {
	r.POST("/vehicles", a.report)
	r.GET("/vehicles", a.vehicles)
	r.DELETE("/vehicles", a.clear)
	r.GET("/vehicles/:name", server.Named("name"), a.vehicle)
	r.DELETE("/vehicles/:name", server.Named("name"), a.remove)
	r.GET("/history/:name", server.Named("name"), a.past)
	return r
}

// callsOfReport is the number of calls to other services that one report needs, one after the other.
const callsOfReport = 3

// report handles a position report: it gets the speed, stores the report, posts it to vehicle-telemetry,
// and posts the speed to staff-service before it answers. So a slow staff-service delays the sender. If
// staff-service fails, the answer is 500 although the report is stored: the sender may repeat it.
func (a api) report(c *gin.Context) {
	received := a.now()
	body, err := server.JSONBody(c)
	if err != nil {
		apierror.Write(c, err)
		return
	}
	p, err := fleet.Decode(body, received)
	if err != nil {
		apierror.Write(c, err)
		return
	}
	ctx := c.Request.Context()
	if speed, ok := a.speed(ctx, p.Name); ok {
		p.Speed = speed
	} else if a.fallback {
		degraded(c, a.telemetry, noSpeed)
	}
	if err := a.history.add(p, received); err != nil {
		apierror.Write(c, err)
		return
	}
	if err := deliver(a.telemetry.Do(ctx, http.MethodPost, "/vehicles/", body)); err != nil {
		a.log.DebugContext(ctx, "report not passed on", "vehicle", p.Name, "error", err)
		if a.fallback {
			degraded(c, a.telemetry, notPassedOn)
		}
	}
	speed := p.Speed
	if speed == "" {
		speed = "0"
	}
	resp, err := a.staff.Do(ctx, http.MethodPost, upstream.Path("driver", p.Name, string(speed)), nil)
	switch {
	case a.fallback && ctx.Err() == nil && deliver(resp, err) != nil:
		degraded(c, a.staff, speedDropped)
	case err != nil:
		apierror.Write(c, err)
	}
}

// deliver returns the error of a POST: an answer of 400 or above is an error, too.
func deliver(resp *upstream.Response, err error) error {
	if err == nil && resp.Status >= http.StatusBadRequest {
		return fmt.Errorf("status %d", resp.Status)
	}
	return err
}

// Values of X-Fallback in a degraded answer.
const (
	noSpeed      = "no-speed"      // vehicle-telemetry did not return a speed
	notPassedOn  = "not-passed-on" // vehicle-telemetry did not accept the report
	speedDropped = "speed-dropped" // staff-service did not accept the speed
)

// degraded marks the answer as made without an upstream.
func degraded(c *gin.Context, without *upstream.Client, kind string) {
	without.FellBack(c.Request.Context(), kind)
	c.Writer.Header().Add(upstream.FallbackHeader, kind)
}

// speed gets the speed from vehicle-telemetry; "" if it is not known yet. ok is false if vehicle-telemetry
// fails.
func (a api) speed(ctx context.Context, name string) (speed fleet.Decimal, ok bool) {
	resp, err := a.telemetry.Do(ctx, http.MethodGet, upstream.Path("vehicles", name), nil)
	if err == nil && resp.Status == http.StatusOK {
		speed, err = fleet.ParseDecimal(resp.Body)
	}
	if err != nil {
		a.log.DebugContext(ctx, "no speed", "vehicle", name, "error", err)
		return "", false
	}
	return speed, resp.Status == http.StatusOK
}

// vehicles answers with the latest position of every vehicle, sorted by name.
func (a api) vehicles(c *gin.Context) {
	vehicles := a.history.all()
	latest := make([]fleet.Position, 0, len(vehicles))
	for _, v := range vehicles {
		latest = append(latest, v.latest())
	}
	c.Data(http.StatusOK, contentType, appendPositions(latest))
}

func (a api) clear(c *gin.Context) {
	a.history.clear()
	c.Status(http.StatusOK)
}

// remove deletes one vehicle. It answers 200 for an unknown vehicle, too.
func (a api) remove(c *gin.Context) {
	a.history.remove(c.Param("name"))
	c.Status(http.StatusOK)
}

// vehicle answers with the latest position of one vehicle.
func (a api) vehicle(c *gin.Context) {
	v, err := a.find(c.Param("name"))
	if err != nil {
		apierror.Write(c, err)
		return
	}
	c.Data(http.StatusOK, contentType, v.latest().AppendJSON(nil))
}

// past answers with all stored positions of one vehicle, newest first.
func (a api) past(c *gin.Context) {
	v, err := a.find(c.Param("name"))
	if err != nil {
		apierror.Write(c, err)
		return
	}
	c.Data(http.StatusOK, contentType, appendPositions(v.newestFirst()))
}

func (a api) find(name string) (*vehicle, error) {
	v, ok := a.history.find(name)
	if !ok {
		return nil, apierror.New(http.StatusNotFound, "vehicle %q never seen", name)
	}
	return v, nil
}

const contentType = "application/json"

// positionSize is the approximate size of a position in JSON, in bytes.
const positionSize = 192

func appendPositions(positions []fleet.Position) []byte {
	b := append(make([]byte, 0, 2+len(positions)*positionSize), '[')
	for i, p := range positions {
		if i > 0 {
			b = append(b, ',')
		}
		b = p.AppendJSON(b)
	}
	return append(b, ']')
}
