package main

import (
	"net/http"

	"fleetman.example/kit/server"
)

type api struct {
	page    *page
	gateway *forwarder
}

func (a api) routes(r server.Router) http.Handler {
	r.Any("/api", a.gateway.forward)
	r.Any("/api/*path", a.gateway.forward)
	// All else is the page's: it reads the path itself.
	r.NoRoute(a.page.serve)
	return r
}
