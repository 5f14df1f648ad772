package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// ServePlain serves one of the handlers that the services are compared with: plain net/http that makes
// the same calls. Each runs in a process of its own, as the services do.
func ServePlain(ctx context.Context, role string, args []string, stdout io.Writer) error {
	handler, err := plainHandler(role, args)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.88.2:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "{\"msg\":\"listening\",\"addr\":%q}\n", listener.Addr())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 3 * time.Minute}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	return server.Serve(listener)
}

// plainHandler returns the handler of a role. args are the addresses of its upstreams.
func plainHandler(role string, args []string) (http.Handler, error) {
	needs := map[string]int{"staff": 0, "handler": 1, "proxy": 1, "telemetry": 0, "tracker": 2}
	if n, ok := needs[role]; !ok || n != len(args) {
		return nil, fmt.Errorf("plain: %s %q: must be one of the roles %v and as many addresses", role, args, needs)
	}
	switch role {
	case "staff": // who drives, and where speeds go
		return staticAnswer(`{"name":"Pam Parry","photo":"https://rac-istio-course-images.s3.amazonaws.com/1.jpg"}`), nil
	case "telemetry":
		return staticAnswer("24.613470899561644"), nil
	case "handler":
		return plainGateway(args[0]), nil
	case "proxy":
		proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: args[0], Path: "/driver"})
		proxy.Transport = newTransport()
		return http.StripPrefix("/vehicles/driver", proxy), nil
	default:
		return plainTracker(args[0], args[1]), nil
	}
}

// newTransport has the settings of the services' transport, which affect the cost of a call.
func newTransport() *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: 1024, IdleConnTimeout: 90 * time.Second, DisableCompression: true}
}

// staticAnswer answers a GET with text; any other request it reads whole and answers with nothing.
func staticAnswer(text string) http.Handler {
	answer := []byte(text)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			_, _ = io.Copy(io.Discard, r.Body)
			return
		}
		w.Header()["Content-Type"] = jsonType
		_, _ = w.Write(answer)
	})
}

var jsonType = []string{"application/json"} // shared by all answers, never written

// plainGateway calls the upstream for a driver, and copies its answer.
func plainGateway(staff string) http.Handler {
	transport := newTransport()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, err := call(r.Context(), transport, http.MethodGet, "http://"+staff+"/driver/City%20Truck", nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer resp.Body.Close()
		w.Header()["Content-Type"] = resp.Header["Content-Type"]
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	})
}

// plainTracker makes the calls of one report and stores nothing.
func plainTracker(telemetry, staff string) http.Handler {
	transport := newTransport()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		report, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, hop := range []struct {
			method, url string
			body        []byte
		}{
			{http.MethodGet, "http://" + telemetry + "/vehicles/City%20Truck", nil},
			{http.MethodPost, "http://" + telemetry + "/vehicles/", report},
			{http.MethodPost, "http://" + staff + "/driver/City%20Truck/24.613470899561644", nil},
		} {
			resp, err := call(r.Context(), transport, hop.method, hop.url, hop.body)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
	})
}

func call(ctx context.Context, transport http.RoundTripper, method, url string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header["Content-Type"] = jsonType
	}
	return transport.RoundTrip(req)
}
