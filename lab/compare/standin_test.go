package compare

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"fleetman.example/lab/local"
)

// TestMain runs the test's own program as a service when it is started under
// another name: a fleet that this repository does not have.
func TestMain(m *testing.M) {
	if filepath.Base(filepath.Dir(os.Args[0])) == standInDir {
		standIn()
		return
	}
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue { // fleets with little load wait most of their time
		_ = f.Value.Set("6")
	}
	os.Exit(m.Run())
}

const standInDir = "stand-ins"

// standIn is a service with the contract's admin listener. It passes requests on
// to UPSTREAM_URL, or answers them itself.
func standIn() {
	s := &service{counts: map[string]int{}, rules: os.Getenv("FAULTS")}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, _ := net.SplitHostPort(address)
		found, err := local.LookUp(os.Getenv("HOSTS_FILE"), host)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(found[rand.IntN(len(found))], port))
	}, DisableKeepAlives: true}
	s.upstream, _ = url.Parse(os.Getenv("UPSTREAM_URL"))
	s.proxy = httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(s.upstream) }}
	admin := http.NewServeMux()
	admin.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	admin.HandleFunc("GET /metrics", s.metrics)
	admin.HandleFunc("GET /resilience", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"transitions":[]}`) })
	admin.HandleFunc("/faults", s.faults)
	go func() { panic(http.ListenAndServe(os.Getenv("ADMIN_ADDR"), admin)) }()
	panic(http.ListenAndServe(os.Getenv("LISTEN_ADDR"), http.HandlerFunc(s.serve)))
}

type service struct {
	upstream *url.URL
	proxy    httputil.ReverseProxy
	mu       sync.Mutex
	rules    string
	counts   map[string]int
}

func (s *service) count(metric string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[metric]++
}

func (s *service) serve(w http.ResponseWriter, r *http.Request) {
	defer s.count(`http_server_request_duration_seconds_count{http_request_method="` + r.Method + `",http_route="/things/:id"}`)
	s.mu.Lock()
	rules := s.rules
	s.mu.Unlock()
	if strings.HasPrefix(rules, "status") {
		w.Header().Set("X-Fault", "status")
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	if s.upstream.Host == "" {
		fmt.Fprint(w, "a thing")
		return
	}
	defer s.count(`http_client_request_duration_seconds_count{http_request_method="` + r.Method + `",server_address="` + bareName(s.upstream.Hostname()) + `"}`)
	s.proxy.ServeHTTP(w, r)
}

func (s *service) metrics(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for metric, n := range s.counts {
		fmt.Fprintf(w, "%s %d\n", metric, n)
	}
}

func (s *service) faults(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if strings.Contains(string(body), "retry-after") {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"message":"rule 1: refused"}`)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method != http.MethodGet {
		s.rules = string(body) // DELETE has none
	}
	if s.rules == "" {
		fmt.Fprint(w, `{"rules":[]}`)
		return
	}
	fmt.Fprintf(w, `{"rules":[{"rule":%q}]}`, s.rules)
}

// standIns are the options of an experiment on a fleet of stand-ins: see decode.
func standIns(t testing.TB, text string, names ...string) Options {
	t.Helper()
	o := options(t)
	o.Root, o.Bin, o.Experiment = "", standInPrograms(t, names...), decode(t, text, names...)
	return o
}

// standInPrograms is a directory with programs of these names.
func standInPrograms(t testing.TB, names ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), standInDir)
	require.NoError(t, os.Mkdir(dir, 0o755))
	self, err := os.Executable()
	require.NoError(t, err)
	program, err := os.ReadFile(self)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, names[0]), program, 0o755)
	}
	for _, name := range names[1:] {
		err = errors.Join(err, os.Link(filepath.Join(dir, names[0]), filepath.Join(dir, name)))
	}
	require.NoError(t, err)
	return dir
}

//go:embed testdata/stand-in.yaml
var standInManifests string

// standInFleet is the manifests of services in a row: each calls the next one.
func standInFleet(names ...string) (text string) {
	for i, name := range names {
		next := "" // answers itself
		if i+1 < len(names) {
			next = "http://fleetman-" + names[i+1] + ":8080"
		}
		text += strings.NewReplacer("NAME", name, "NEXT", next).Replace(standInManifests)
	}
	return text
}
