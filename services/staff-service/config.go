package main

import (
	"net/url"
	"strings"
	"time"

	"fleetman.example/kit/env"
	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

type config struct {
	server.Config
	upstream   upstream.Config
	variant    variant
	roster     roster
	photoBase  string
	monitoring *url.URL // nil: none
}

func readConfig(r *env.Reader) config {
	cfg := config{
		Config:   server.ReadConfig(r, ":8080"),
		upstream: upstream.ReadConfig(r),
		variant: variant(r.OneOf("VARIANT", string(standard), knownVariants,
			"behaviour of the service, see above")),
		photoBase: r.String("PHOTO_BASE_URL", "https://rac-istio-course-images.s3.amazonaws.com/",
			"prefix of the file name of a photo; the service's own portraits are under `/photos/`"),
		monitoring: r.URL("DRIVER_MONITORING_URL", "", "address of the driver-monitoring system, to which every driver's speed is posted"),
	}
	cfg.Faults = append(cfg.variant.faults(), cfg.Faults...)
	cfg.DrainTimeout = server.ReadDrainTimeout(r, 1, cfg.upstream.Timeout)
	if !strings.HasSuffix(cfg.photoBase, "/") {
		cfg.photoBase += "/"
	}
	if host := r.String("TLS_HOST", "", "host name of a certificate that the service makes when it starts; with it the service serves HTTPS alone"); host != "" {
		var err error
		if cfg.TLS, err = selfSigned(host, time.Now()); err != nil {
			r.Fail("TLS_HOST", "%v", err)
		}
	}
	file := r.String("STAFF_FILE", "", "file in the form of `roster.json` to use instead of the built-in roster")
	var err error
	if cfg.roster, err = openRoster(file); err != nil {
		r.Fail("STAFF_FILE", "%v", err)
	}
	return cfg
}

// staff returns the roster with the variant's photos.
func (cfg config) staff() roster {
	if cfg.variant == placeholder || cfg.variant == bad {
		return cfg.roster.withPhoto(placeholderPhoto)
	}
	return cfg.roster
}
