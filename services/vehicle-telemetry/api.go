package main

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"fleetman.example/kit/apierror"
	"fleetman.example/kit/fleet"
	"fleetman.example/kit/server"
)

type api struct {
	windows *windows
	now     func() time.Time
}

func (a api) routes(r server.Router) http.Handler {
	r.POST("/vehicles", a.report)
	r.GET("/vehicles/:name", server.Named("name"), a.speed)
	return r
}

// report stores a position.
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
	if p.Timestamp.IsZero() {
		p.Timestamp = received
	}
	if err := a.windows.add(p.Name, fix{lat: p.Lat.Float(), lng: p.Lng.Float(), at: p.Timestamp.UnixNano()}); err != nil {
		apierror.Write(c, err)
	}
}

// speed answers with a JSON number in miles per hour, or with an empty body if the speed is unknown.
func (a api) speed(c *gin.Context) {
	mph, known := a.windows.speed(c.Param("name"))
	if !known {
		c.Status(http.StatusOK)
		return
	}
	c.Data(http.StatusOK, "application/json", strconv.AppendFloat(nil, mph, 'f', -1, 64))
}
