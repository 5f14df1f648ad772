package main

import (
	"net/http"

	"fleetman.example/kit/observe"
	"fleetman.example/kit/server"
)

type api struct {
	page    *page
	gateway *forwarder
}

func (a api) routes(r server.Router) http.Handler {
	r.Any("/api", a.gateway.forward)
	r.Any("/api/*path", a.gateway.forward)
	// Every other path is the page, which reads the path itself.
	r.NoRoute(a.page.serve)
	return withoutInternalHeaders(r)
}

// withoutInternalHeaders removes what only the fleet itself may set: anyone can call the webapp.
func withoutInternalHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		observe.RemoveInternal(r.Header)
		next.ServeHTTP(w, r)
	})
}
