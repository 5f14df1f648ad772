package loader

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"fleetman.example/lab/process"
	"fleetman.example/lab/tcp"
)

// order is a part of a load, and when it begins by the clock of the loader.
type order struct {
	Plan  Plan      `json:"plan"`
	Begin time.Time `json:"begin"`
}

// Serve sends one load at the request of a client, and keeps its requests until the context ends, so that a
// client whose connection breaks reads them again.
func Serve(ctx context.Context, listener net.Listener) error {
	s := &server{ctx: ctx, dial: new(net.Dialer).DialContext}
	return tcp.Serve(ctx, listener, s.routes())
}

type server struct {
	ctx  context.Context //nolint:containedctx // of the load, which outlives the request that begins it
	dial Dial

	mu       sync.Mutex
	begun    bool
	ended    bool
	requests []Request
}

func (s *server) routes() http.Handler {
	routes := http.NewServeMux()
	routes.HandleFunc("GET /clock", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strconv.FormatInt(time.Now().UnixNano(), 10))
	})
	routes.HandleFunc("POST /load", s.begin)
	routes.HandleFunc("GET /load", s.read)
	return routes
}

// begin starts a load. A second one is refused: a loader's requests are those of one run.
func (s *server) begin(w http.ResponseWriter, r *http.Request) {
	var o order
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<20))
	decoder.DisallowUnknownFields() // those of another version of the lab
	if err := decoder.Decode(&o); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if p := o.Plan; p.Parts < 1 || p.Part < 0 || p.Part >= p.Parts || p.MaxInFlight < 1 || len(p.Rates) == 0 || len(p.Streams) == 0 {
		http.Error(w, "plan: must have rates, streams, maxInFlight, and a part of its parts", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun {
		http.Error(w, "load: must be begun once", http.StatusConflict)
		return
	}
	s.begun = true
	go s.run(o)
	w.WriteHeader(http.StatusAccepted)
}

func (s *server) run(o order) {
	if process.Sleep(s.ctx, time.Until(o.Begin)) != nil {
		return
	}
	requests := o.Plan.Run(s.ctx, s.dial)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.requests = true, requests
}

// read writes the requests of a load that has ended, one a line. Compressed, they have a checksum too.
func (s *server) read(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	begun, ended, requests := s.begun, s.ended, s.requests
	s.mu.Unlock()
	switch {
	case !begun:
		http.Error(w, "load: must be begun first", http.StatusNotFound)
		return
	case !ended:
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	out := gzip.NewWriter(w)
	encoder := json.NewEncoder(out)
	for i := range requests {
		if encoder.Encode(&requests[i]) != nil {
			return // the client has gone, and reads them again
		}
	}
	_ = out.Close() // as above
}
