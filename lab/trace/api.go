package trace

import (
	"fmt"
	"net/http"

	"fleetman.example/lab/jsonhttp"
)

// shown is the number of traces in a list of the API.
const shown = 100

// filters are the values of the API's parameter show.
var filters = map[string]Filter{
	"":         {Limit: shown},
	"all":      {Limit: shown},
	"notable":  {Limit: shown, Notable: true},
	"error":    {Limit: shown, Status: Failed},
	"degraded": {Limit: shown, Status: Degraded},
}

// Handlers returns the handlers of GET requests for traces, by path: "traces" for the summaries that the
// parameter show selects (all, notable, error or degraded), "traces/{id}" for one trace.
func (s *Store) Handlers() map[string]http.Handler {
	return map[string]http.Handler{"traces": http.HandlerFunc(s.list), "traces/{id}": http.HandlerFunc(s.one)}
}

func (s *Store) list(w http.ResponseWriter, r *http.Request) {
	filter, ok := filters[r.URL.Query().Get("show")]
	if !ok {
		jsonhttp.Error(w, http.StatusBadRequest, fmt.Errorf("show: %.40q: must be all, notable, error or degraded", r.URL.Query().Get("show")))
		return
	}
	jsonhttp.Write(w, http.StatusOK, s.Recent(filter))
}

func (s *Store) one(w http.ResponseWriter, r *http.Request) {
	t, ok := s.Trace(r.PathValue("id"))
	if !ok {
		jsonhttp.Error(w, http.StatusNotFound, fmt.Errorf("id: %.40q: must be one of the last %d traces", r.PathValue("id"), maxTraces))
		return
	}
	jsonhttp.Write(w, http.StatusOK, t)
}
