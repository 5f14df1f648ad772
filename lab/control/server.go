package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
)

// Status is a running fleet.
type Status struct {
	Pods      []local.Pod      `json:"pods"`
	NodePorts []local.NodePort `json:"nodePorts"`
	HostsFile string           `json:"hostsFile"`
}

// socketPath is in the state directory, or, when that is too long for a
// socket's address (104 bytes on macOS), in the directory for temporary files.
func socketPath(state string) (string, error) {
	state, err := filepath.Abs(state)
	if err != nil {
		return "", fmt.Errorf("state directory: %w", err)
	}
	path := filepath.Join(state, "control.sock")
	if len(path) < 104 {
		return path, nil
	}
	hash := fnv.New64a()
	_, _ = io.WriteString(hash, state)
	return filepath.Join(os.TempDir(), fmt.Sprintf("fleetman-%d-%x.sock", os.Getuid(), hash.Sum64())), nil
}

// Server answers for one fleet.
type Server struct {
	path string
	http *http.Server
	done chan struct{}
}

// Serve starts answering; the mesh is nil when there is none. The state directory has to be the fleet's own: a
// socket left there by a launcher that was killed is removed.
func Serve(state string, fleet *local.Fleet, meshed *mesh.Mesh) (*Server, error) {
	path, err := socketPath(state)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	before := syscall.Umask(0o077) // for this user only
	listener, err := net.Listen("unix", path)
	syscall.Umask(before)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	s := &Server{path: path, http: &http.Server{Handler: routes(fleet, meshed), ReadHeaderTimeout: 5 * time.Second}, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(listener)
	}()
	return s, nil
}

// Close ends what is going on, followed logs too, once the fleet has stopped.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.http.Close()
	}
	<-s.done
	_ = os.Remove(s.path)
}

func routes(fleet *local.Fleet, meshed *mesh.Mesh) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /pods", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, Status{Pods: withFaults(r.Context(), fleet.Pods()), NodePorts: fleet.NodePorts(), HostsFile: fleet.HostsFile()})
	})
	mux.HandleFunc("GET /logs", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		follow, _ := strconv.ParseBool(query.Get("follow"))
		prefix, _ := strconv.ParseBool(query.Get("prefix"))
		out := &flushing{w: w}
		if err := fleet.Logs(r.Context(), query.Get("pod"), follow, prefix, out); err != nil && !out.wrote {
			writeError(w, http.StatusNotFound, err)
		}
	})
	mux.HandleFunc("POST /kill", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		number, err := strconv.Atoi(query.Get("signal"))
		if err != nil || number < 1 || number > 64 {
			writeError(w, http.StatusBadRequest, fmt.Errorf("signal: %.20q; a number from 1 to 64 is expected", query.Get("signal")))
			return
		}
		did, err := fleet.Kill(query.Get("pod"), syscall.Signal(number))
		if err != nil {
			writeError(w, http.StatusNotFound, err)
			return
		}
		writeJSON(w, http.StatusOK, killed{did})
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		encoder := json.NewEncoder(&flushing{w: w})
		for event := range fleet.Events(r.Context()) {
			if encoder.Encode(event) != nil {
				return
			}
		}
	})
	mux.HandleFunc("GET /mesh", withMesh(meshed, func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, meshed.Status(r.Context()))
	}))
	mux.HandleFunc("POST /apply", withMesh(meshed, func(w http.ResponseWriter, r *http.Request) {
		objects, err := manifest.Load(r.URL.Query()["path"]...)
		if err != nil {
			writeError(w, http.StatusBadRequest, err)
			return
		}
		applied, err := meshed.Apply(r.Context(), objects)
		if err != nil {
			writeError(w, http.StatusUnprocessableEntity, err)
			return
		}
		writeJSON(w, http.StatusOK, applied)
	}))
	return mux
}

// faultsTimeout is how long a pod may take to tell its faults.
const faultsTimeout = 300 * time.Millisecond

// withFaults asks all pods for the faults that are in force; one that does not
// answer is shown without.
func withFaults(ctx context.Context, pods []local.Pod) []local.Pod {
	ctx, cancel := context.WithTimeout(ctx, faultsTimeout)
	defer cancel()
	var client faults.Client
	var asking sync.WaitGroup
	for i, pod := range pods {
		if pod.Port != 0 && pod.PID != 0 {
			asking.Go(func() {
				if state, err := client.Get(ctx, pod); err == nil {
					pods[i].Faults = state.Text()
				}
			})
		}
	}
	asking.Wait()
	return pods
}

// killed is the answer to POST /kill.
type killed struct {
	Did string `json:"did"` // in words
}

func withMesh(meshed *mesh.Mesh, handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if meshed == nil {
			writeError(w, http.StatusNotFound, errors.New("the running fleet has no mesh; start it with fleetman up --mesh"))
			return
		}
		handler(w, r)
	}
}

// flushing sends every write at once.
type flushing struct {
	w     http.ResponseWriter
	wrote bool
}

func (f *flushing) Write(data []byte) (int, error) {
	f.wrote = true
	n, err := f.w.Write(data)
	if err == nil {
		err = http.NewResponseController(f.w).Flush()
	}
	return n, err
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

type failure struct {
	Error string `json:"error"`
}

func writeError(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, failure{Error: err.Error()})
}
