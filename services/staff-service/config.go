package main

import (
	"net/url"
	"strings"

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

// readConfig reads the whole configuration.
func readConfig(r *env.Reader) config {
	cfg := config{
		Config:   server.ReadConfig(r, ":8080"),
		upstream: upstream.ReadConfig(r),
		variant: variant(r.OneOf("VARIANT", string(standard), knownVariants,
			"how the service behaves")),
		photoBase: r.String("PHOTO_BASE_URL", "https://rac-istio-course-images.s3.amazonaws.com/",
			"what stands before the file name of a photo; the service's own portraits are under `/photos/`"),
		monitoring: r.URL("DRIVER_MONITORING_URL", "", "the driver-monitoring system that gets every driver's speed"),
	}
	cfg.Faults.Prepend(cfg.variant.faults())
	cfg.DrainTimeout = server.ReadDrainTimeout(r, 1, cfg.upstream.Timeout)
	if !strings.HasSuffix(cfg.photoBase, "/") {
		cfg.photoBase += "/"
	}
	file := r.String("STAFF_FILE", "", "a roster instead of the built-in one, in the form of `roster.json`")
	var err error
	if cfg.roster, err = openRoster(file); err != nil {
		r.Fail("STAFF_FILE", "%v", err)
	}
	return cfg
}

// staff is the roster as the variant shows it.
func (cfg config) staff() roster {
	if cfg.variant == placeholder || cfg.variant == bad {
		return cfg.roster.withPhoto(placeholderPhoto)
	}
	return cfg.roster
}
