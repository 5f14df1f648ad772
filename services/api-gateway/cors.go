package main

import (
	"net/http"

	"fleetman.example/kit/server"
)

// withOrigin lets a page of any origin read every answer, errors too, and answers the question
// that a browser asks before it sends a header of its own.
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

var anyOrigin = []string{"*"} // shared by all answers, never written
