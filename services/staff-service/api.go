package main

import (
	"embed"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"fleetman.example/kit/apierror"
	"fleetman.example/kit/fleet"
	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

// portraits are pictures of the drivers, drawn for this project, for use without internet access: the SVG
// files beside them at 256 × 256 pixels, JPEG with a quality of 90.
//
//go:embed photos/*.jpg photos/*.png
var portraits embed.FS

type api struct {
	roster     roster
	photoBase  string           // prefix of photos' file names
	monitoring *upstream.Client // nil: speeds are only logged
	log        *slog.Logger
}

func (a api) routes(r server.Router) http.Handler {
	r.GET("/driver/:vehicle", server.Named("vehicle"), a.driver)
	r.POST("/driver/:vehicle/:speed", server.Named("vehicle"), a.speed)
	r.GET("/photos/:file", photo)
	return r
}

// driver answers with the driver of a vehicle.
func (a api) driver(c *gin.Context) {
	vehicle := c.Param("vehicle")
	d, ok := a.roster.driver(vehicle)
	if !ok {
		apierror.Write(c, apierror.New(http.StatusNotFound, "nobody drives %q", vehicle))
		return
	}
	d.Photo = a.photoBase + d.Photo
	body, _ := json.Marshal(d) // never fails: two strings
	c.Data(http.StatusOK, "application/json", body)
}

// speed posts a driver's speed to the driver-monitoring system, or logs it if there is none.
func (a api) speed(c *gin.Context) {
	vehicle, speed := c.Param("vehicle"), c.Param("speed")
	if d, err := fleet.ParseDecimal([]byte(speed)); err != nil || d == "" {
		apierror.Write(c, &fleet.FieldError{Field: "speed", Got: strconv.Quote(fleet.Shown(speed)), Must: "miles per hour as a number"})
		return
	}
	ctx := c.Request.Context()
	if a.monitoring == nil {
		a.log.DebugContext(ctx, "speed", "vehicle", vehicle, "mph", speed)
		return
	}
	if _, err := a.monitoring.Do(ctx, http.MethodPost, upstream.Path("driver", vehicle, speed), nil); err != nil {
		apierror.Write(c, err)
	}
}

// photo answers with one of the portraits.
func photo(c *gin.Context) {
	file := c.Param("file")
	image, err := fs.ReadFile(portraits, "photos/"+file)
	if err != nil {
		apierror.Write(c, apierror.New(http.StatusNotFound, "no such photo"))
		return
	}
	c.Header("Cache-Control", "max-age=86400")
	c.Data(http.StatusOK, http.DetectContentType(image), image)
}
