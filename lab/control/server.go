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
	"fleetman.example/lab/jsonhttp"
	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/usage"
)

// Fleet is the fleet that a server controls.
type Fleet struct {
	*local.Fleet
	Mesh      *mesh.Mesh        // nil without a mesh
	Manifests []string          // the absolute paths with which the fleet was started
	Objects   *manifest.Objects // of these manifests
	Stop      func()            // starts to stop the fleet and returns at once
	// Applied is called after each apply, with the paths and what changed. Nil discards them.
	Applied func(paths []string, applied mesh.Applied)
}

// kill sends a signal to the process of a pod or of an istiod, and describes what it has done.
func (f *Fleet) kill(name string, sig syscall.Signal) (did string, err error) {
	if f.Mesh != nil {
		return f.Mesh.Kill(name, sig)
	}
	return f.Kill(name, sig)
}

// socketPath returns the path of the socket: in the state directory or, when that path is too long for a
// socket (104 bytes on macOS), in the directory for temporary files.
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

// Server serves the control socket of a fleet.
type Server struct {
	path string
	http *http.Server
	done chan struct{}
}

// Serve starts a server. The caller must hold the lock of the state directory: Serve removes a socket
// that a killed launcher has left there.
func Serve(state string, fleet Fleet) (*Server, error) {
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
	s := &Server{path: path, http: &http.Server{Handler: routes(state, fleet), ReadHeaderTimeout: 5 * time.Second}, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(listener)
	}()
	return s, nil
}

// Close stops the server after the fleet has stopped. It ends all requests, including followed logs.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.http.Close()
	}
	<-s.done
	_ = os.Remove(s.path)
}

func routes(state string, fleet Fleet) http.Handler {
	mux := http.NewServeMux()
	since := time.Now()
	var admin faults.Client
	manifests := &paths{of: fleet.Manifests, objects: fleet.Objects}
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		status := Status{State: state, Since: since, PID: os.Getpid(), Manifests: manifests.get(), HasMesh: fleet.Mesh != nil}
		status.Pods, status.NodePorts, status.HostsFile = fleet.Pods(), fleet.NodePorts(), fleet.HostsFile()
		status.Look(r.Context(), &admin, lookTimeout)
		for i := range status.Pods {
			fleet.AddConnect(&status.Pods[i])
		}
		jsonhttp.Write(w, http.StatusOK, status)
	})
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, _ *http.Request) {
		jsonhttp.Write(w, http.StatusOK, struct{}{})
		fleet.Stop()
	})
	mux.HandleFunc("GET /logs", func(w http.ResponseWriter, r *http.Request) { logs(w, r, fleet.Fleet) })
	mux.HandleFunc("POST /kill", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		number, err := strconv.Atoi(query.Get("signal"))
		if err != nil || number < 1 || number > 64 {
			jsonhttp.Error(w, http.StatusBadRequest, fmt.Errorf("signal: %.20q: must be a number from 1 to 64", query.Get("signal")))
			return
		}
		did, err := fleet.kill(query.Get("pod"), syscall.Signal(number))
		answer(w, killed{did}, err, http.StatusNotFound)
	})
	mux.HandleFunc("GET /connect", func(w http.ResponseWriter, r *http.Request) {
		state, err := fleet.Connect(r.URL.Query().Get("pod"))
		answer(w, state, err, http.StatusBadRequest)
	})
	mux.HandleFunc("POST /connect", func(w http.ResponseWriter, r *http.Request) {
		state, err := setConnect(fleet.Fleet, r.URL.Query().Get("pod"), r.URL.Query().Get("rule"))
		answer(w, state, err, http.StatusBadRequest)
	})
	mux.HandleFunc("GET /mesh", withMesh(fleet.Mesh, func(w http.ResponseWriter, r *http.Request) {
		jsonhttp.Write(w, http.StatusOK, fleet.Mesh.Status(r.Context()))
	}))
	mux.HandleFunc("POST /set", func(w http.ResponseWriter, r *http.Request) { manifests.set(w, r, fleet) })
	mux.HandleFunc("POST /apply", withMesh(fleet.Mesh, manifests.applyWith(fleet.Mesh.Apply, fleet.Applied)))
	return mux
}

// paths are the paths of the manifests in force.
type paths struct {
	applying sync.Mutex // one at a time, so that of are those of the last one
	mu       sync.Mutex
	of       []string
	objects  *manifest.Objects // guarded by applying
}

func (p *paths) get() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.of
}

// applyWith returns the handler that applies the manifests of the query's paths. applied is called after
// each success; it may be nil.
func (p *paths) applyWith(apply applyFunc, applied func([]string, mesh.Applied)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		of := r.URL.Query()["path"]
		objects, err := manifest.Load(of...)
		var result mesh.Applied
		if err == nil {
			result, err = p.replace(r.Context(), of, objects, apply, applied)
		}
		if err != nil {
			jsonhttp.Error(w, http.StatusUnprocessableEntity, err)
			return
		}
		awaitEnd(r.Context(), result)
		jsonhttp.Write(w, http.StatusOK, result)
	}
}

// applyFunc is the type of mesh.Mesh.Apply.
type applyFunc func(context.Context, *manifest.Objects) (mesh.Applied, error)

// replace applies manifests and, unless that fails, keeps them as those in force and calls applied.
func (p *paths) replace(ctx context.Context, of []string, objects *manifest.Objects, apply applyFunc, applied func([]string, mesh.Applied)) (mesh.Applied, error) {
	p.applying.Lock()
	defer p.applying.Unlock()
	result, err := apply(ctx, objects)
	if err != nil {
		return result, err
	}
	p.mu.Lock()
	p.of = of
	p.mu.Unlock()
	p.objects = objects
	if applied != nil {
		applied(of, result)
	}
	return result, nil
}

// awaitEnd waits until the pods that a change ends have ended, so that the fleet is as the response has it. The next
// change need not wait for that.
func awaitEnd(ctx context.Context, applied mesh.Applied) {
	if applied.AwaitEnd != nil {
		applied.AwaitEnd(ctx)
	}
}

// Override changes Deployments over what the manifests have.
type Override struct {
	Set      []local.Setting `json:"set,omitempty"`
	Replicas map[string]int  `json:"replicas,omitempty"`
}

// set is the handler of POST /set.
func (p *paths) set(w http.ResponseWriter, r *http.Request, fleet Fleet) {
	var wanted Override
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&wanted); err != nil {
		jsonhttp.Error(w, http.StatusBadRequest, fmt.Errorf("body: %w: must be an override in JSON", err))
		return
	}
	began := time.Now()
	result, err := p.override(r.Context(), wanted, fleet)
	if err == nil {
		awaitEnd(r.Context(), result)
	}
	result.Seconds = time.Since(began).Seconds()
	answer(w, result, err, http.StatusUnprocessableEntity)
}

// override changes variables or numbers of pods, over the manifests in force, until the fleet stops. After an error
// nothing has changed.
func (p *paths) override(ctx context.Context, wanted Override, fleet Fleet) (result mesh.Applied, err error) {
	p.applying.Lock()
	defer p.applying.Unlock()
	if p.objects == nil {
		return result, errors.New("set: the fleet was started without manifests")
	}
	undo, err := fleet.Override(p.objects, wanted.Set, wanted.Replicas)
	if err != nil {
		return result, err
	}
	defer func() {
		if err != nil {
			undo()
		}
	}()
	if fleet.Mesh != nil {
		return fleet.Mesh.Apply(ctx, p.objects)
	}
	change, err := fleet.Apply(ctx, p.objects)
	if err != nil {
		return result, err
	}
	return mesh.Applied{Changed: []string{}, Notes: change.Notes(), Pods: change.Pods(), AwaitEnd: change.AwaitEnd}, nil
}

// setConnect sets the fault of a pod's connections, none for an empty rule.
func setConnect(fleet *local.Fleet, pod, rule string) (local.ConnectState, error) {
	if rule == "" {
		return fleet.SetConnect(pod, nil)
	}
	fault, err := local.ParseConnect(rule)
	if err != nil {
		return local.ConnectState{}, err
	}
	return fleet.SetConnect(pod, &fault)
}

// answer writes a result, or its error with a status.
func answer(w http.ResponseWriter, result any, err error, status int) {
	if _, wrong := errors.AsType[usage.Error](err); wrong {
		status = http.StatusBadRequest
	}
	if err != nil {
		jsonhttp.Error(w, status, err)
		return
	}
	jsonhttp.Write(w, http.StatusOK, result)
}

// logs writes a pod's log with the options of the query.
func logs(w http.ResponseWriter, r *http.Request, fleet *local.Fleet) {
	query := r.URL.Query()
	var o local.LogOptions
	o.Follow, _ = strconv.ParseBool(query.Get("follow"))
	o.Prefix, _ = strconv.ParseBool(query.Get("prefix"))
	if text := query.Get("tail"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			jsonhttp.Error(w, http.StatusBadRequest, fmt.Errorf("tail: %.20q: must be a number of lines", text))
			return
		}
		o.TailLines = &n
	}
	if text := query.Get("since"); text != "" {
		since, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			jsonhttp.Error(w, http.StatusBadRequest, fmt.Errorf("since: %.40q: must be a time in RFC 3339 format", text))
			return
		}
		o.Since = since
	}
	out := &flushing{w: w}
	if err := fleet.Logs(r.Context(), query.Get("pod"), o, out); err != nil && !out.wrote {
		answer(w, nil, err, http.StatusNotFound)
	}
}

// killed is the response to POST /kill.
type killed struct {
	Did string `json:"did"` // description of the effect
}

func withMesh(meshed *mesh.Mesh, handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if meshed == nil {
			jsonhttp.Error(w, http.StatusNotFound, errors.New("the running fleet has no mesh: start it with fleetman up --mesh"))
			return
		}
		handler(w, r)
	}
}

// flushing is a writer that flushes every write.
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
