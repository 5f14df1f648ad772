package main

import (
	"net/url"
	"regexp"
	"strings"

	"fleetman.example/kit/env"
	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

const (
	standard     = "standard"
	experimental = "experimental"
)

type config struct {
	server.Config
	upstream     upstream.Config
	gateway      *url.URL
	variant      string
	photoOrigins []string
}

func readConfig(r *env.Reader) config {
	cfg := config{
		Config:       server.ReadConfig(r, ":80"),
		upstream:     upstream.ReadConfig(r),
		gateway:      r.URL("API_GATEWAY_URL", "http://fleetman-api-gateway:8080", "address of api-gateway, to which `/api/…` is forwarded"),
		variant:      r.OneOf("VARIANT", standard, []string{standard, experimental}, "the page's title and header"),
		photoOrigins: photoOrigins(r),
	}
	cfg.DrainTimeout = server.ReadDrainTimeout(r, 1, cfg.upstream.Timeout)
	return cfg
}

// origin matches scheme://host[:port]. It admits no space, comma or semicolon, which would end a source in the
// Content-Security-Policy header.
var origin = regexp.MustCompile(`^https?://[A-Za-z0-9.-]+(?::([0-9]+|\*))?$`)

// isOrigin reports whether text is an origin. Its port may be *, and otherwise is from 1 to 65535.
func isOrigin(text string) bool {
	match := origin.FindStringSubmatch(text)
	return match != nil && (match[1] == "*" || env.IsPort(match[1]))
}

func photoOrigins(r *env.Reader) []string {
	origins := strings.Fields(r.String("PHOTO_ORIGINS", "", "further origins from which the page may load the drivers' photos, separated by spaces; the port may be `*`"))
	for _, o := range origins {
		if !isOrigin(o) {
			r.Fail("PHOTO_ORIGINS", "must be origins such as https://photos.example:8443 separated by spaces")
			break
		}
	}
	return origins
}
