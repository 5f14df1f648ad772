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
	// All other paths serve the page, which evaluates the path.
	r.NoRoute(a.page.serve)
	return withoutInternalHeaders(r)
}

// withoutInternalHeaders returns next without the headers that only the fleet may set (see
// observe.RemoveInternal): the webapp is exposed to outside callers.
func withoutInternalHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		observe.RemoveInternal(r.Header)
		next.ServeHTTP(w, r)
	})
}
