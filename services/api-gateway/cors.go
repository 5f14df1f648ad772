package main

import (
	"net/http"

	"fleetman.example/kit/server"
)

// withOrigin returns next with CORS headers that allow pages of any origin to read every answer, including
// errors, and to send any header in a GET.
func withOrigin(next server.Router) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Access-Control-Allow-Origin"] = anyOrigin
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") == http.MethodGet {
			h.Set("Access-Control-Allow-Methods", http.MethodGet)
			h.Set("Access-Control-Max-Age", "1800") // s, as the original
			if wanted := r.Header.Get("Access-Control-Request-Headers"); wanted != "" {
				h.Set("Access-Control-Allow-Headers", wanted)
			}
		}
		next.ServeHTTP(w, r)
	})
}

var anyOrigin = []string{"*"} // shared by all answers, never modified
