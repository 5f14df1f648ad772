package main

import (
	"log/slog"
	"net/url"
	"strings"

	"fleetman.example/kit/env"
	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

type config struct {
	Server     server.Config
	upstream   upstream.Config
	variant    variant
	roster     roster
	photoBase  string
	monitoring *url.URL       // nil: none
	effective  slog.LogValuer // for one log line
	table      string         // for the README
}

// readConfig reads the whole configuration; its error names every bad variable.
func readConfig(getenv func(string) string) (config, error) {
	r := env.New(getenv)
	cfg := config{
		Server:   server.ReadConfig(r, ":8080"),
		upstream: upstream.ReadConfig(r),
		variant: variant(r.OneOf("VARIANT", string(standard), knownVariants,
			"how the service behaves")),
		photoBase: r.String("PHOTO_BASE_URL", "https://rac-istio-course-images.s3.amazonaws.com/",
			"what stands before the file name of a photo; the service's own portraits are under `/photos/`"),
		monitoring: r.URL("DRIVER_MONITORING_URL", "", "the driver-monitoring system that gets every driver's speed"),
	}
	cfg.Server.Faults.Prepend(cfg.variant.faults())
	cfg.Server.DrainTimeout = server.ReadDrainTimeout(r, 1, cfg.upstream.Timeout)
	cfg.upstream.State.Mount(cfg.Server.Admin)
	if !strings.HasSuffix(cfg.photoBase, "/") {
		cfg.photoBase += "/"
	}
	file := r.String("STAFF_FILE", "", "a roster instead of the built-in one, in the form of `roster.json`")
	var err error
	if cfg.roster, err = openRoster(file); err != nil {
		r.Fail("STAFF_FILE", "%v", err)
	}
	cfg.effective, cfg.table = r, r.Table()
	return cfg, r.Err()
}

// staff is the roster as the variant shows it.
func (cfg config) staff() roster {
	if cfg.variant == placeholder || cfg.variant == bad {
		return cfg.roster.withPhoto(placeholderPhoto)
	}
	return cfg.roster
}
