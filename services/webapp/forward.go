package main

import (
	"log"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"

	"fleetman.example/kit/apierror"
	"fleetman.example/kit/observe"
	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

const gateway = "api-gateway"

// forwarder forwards requests to api-gateway, and its answers unchanged.
type forwarder struct {
	gateway *upstream.Client
	buffers *buffers
	log     *log.Logger // logs incomplete answers
}

func newForwarder(cfg config, app *server.App) *forwarder {
	return &forwarder{
		gateway: upstream.NewSet(cfg.upstream, app.Observer, app.Admin).New(gateway, cfg.gateway),
		buffers: new(buffers),
		log:     slog.NewLogLogger(app.Log.Handler(), slog.LevelWarn),
	}
}

func (f *forwarder) forward(c *gin.Context) {
	if err := receive(c); err != nil {
		apierror.Write(c, err)
		return
	}
	path, query := gatewayPath(c.Request)
	proxy := httputil.ReverseProxy{
		Transport:  f.gateway.RoundTripper(),
		BufferPool: f.buffers,
		ErrorLog:   f.log,
		Rewrite: func(r *httputil.ProxyRequest) {
			u := f.gateway.URL(path)
			u.RawQuery = query
			r.Out.URL, r.Out.Host = u, u.Host
			// ReverseProxy removes X-Forwarded-*; the contract requires that all x- headers are forwarded.
			observe.Propagate(c.Request.Context(), r.Out.Header)
		},
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) {
			apierror.Write(c, &upstream.Error{Upstream: gateway, Method: r.Method, Path: path, Cause: err})
		},
	}
	proxy.ServeHTTP(c.Writer, c.Request)
}

// receive reads the whole body of a request before the call begins. Otherwise timeouts and the breaker
// would attribute the time of a slow sender to the gateway.
func receive(c *gin.Context) error {
	body, err := server.Body(c)
	if err != nil {
		return err
	}
	upstream.SetBody(c.Request, body)
	return nil
}

// gatewayPath returns the request's escaped path without /api, and its query. It takes the path from
// RequestURI, because the router has normalized URL.Path.
func gatewayPath(r *http.Request) (path, query string) {
	path, _, _ = strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") { // http://host/path, as in a request to a proxy
		_, path, _ = strings.Cut(path, "://")
		_, path, _ = strings.Cut(path, "/")
	}
	path = strings.TrimPrefix("/"+strings.TrimLeft(path, "/"), "/api")
	if path == "" {
		path = "/"
	}
	return path, r.URL.RawQuery
}

// buffers pools the copy buffers that a ReverseProxy would otherwise allocate for every answer.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10 // bytes, as in ReverseProxy

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, bufferSize)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }
