package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"fleetman.example/kit/apierror"
	"fleetman.example/kit/fault"
	"fleetman.example/kit/fleet"
)

func init() { gin.SetMode(gin.ReleaseMode) } // gin's debug mode prints every route

// Router is a gin.Engine with what every service needs: measurements, header propagation, recovery,
// limits on bodies, and the contract's errors for unknown paths and methods. Routes are registered
// without a trailing slash. A request with one, or with a doubled leading slash, reaches the same handler.
type Router struct{ *gin.Engine }

// newRouter returns a Router without routes.
func (a *App) newRouter() Router {
	cfg, r := a.config, gin.New()
	r.UseRawPath, r.UnescapePathValues = true, true // a name with %2F is one segment; fleet.CheckName rejects it
	r.RedirectTrailingSlash, r.RedirectFixedPath = false, false
	r.HandleMethodNotAllowed = true
	r.ContextWithFallback = true
	faults := fault.Injector{Set: a.faults, Log: a.Log, Count: a.Counter("fleetman.faults", "Faults injected, by kind."), Exit: os.Exit}
	bodies := limitBody(cfg.MaxBody, &pool{size: max(bodyPool, cfg.MaxBody)})
	r.Use(a.Middleware(cfg.PropagateHeaders), callerTimeout, bodies, faults.Middleware, recovery)
	r.NoRoute(func(c *gin.Context) {
		apierror.Write(c, apierror.New(http.StatusNotFound, "no such path"))
	})
	r.NoMethod(func(c *gin.Context) { // gin sets Allow
		if c.Request.Method == http.MethodOptions {
			c.Status(http.StatusOK)
			return
		}
		apierror.Write(c, apierror.New(http.StatusMethodNotAllowed, "method %s not supported here", c.Request.Method))
	})
	return Router{r}
}

// Named returns a handler that a route has before its own: it answers 400 unless the path's parameter param
// is a valid name.
func Named(param string) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := fleet.CheckName(c.Param(param)); err != nil {
			apierror.Write(c, err)
		}
	}
}

// ServeHTTP routes r by its canonical path, and HEAD as GET.
func (r Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	routed := req
	path, raw := canonical(req.URL.Path), canonical(req.URL.RawPath)
	raw = strings.ReplaceAll(raw, "+", "%2B") // gin decodes + as a space
	if path != req.URL.Path || raw != req.URL.RawPath || req.Method == http.MethodHead {
		u, copied := *req.URL, *req
		u.Path, u.RawPath = path, raw
		copied.URL = &u
		if req.Method == http.MethodHead {
			copied.Method = http.MethodGet // net/http drops the body, since req stays a HEAD
		}
		routed = &copied
	}
	r.Engine.ServeHTTP(w, routed)
	req.Pattern = routed.Pattern // where OpenTelemetry looks for the route
}

// canonical removes all leading slashes but one, and one trailing slash.
func canonical(path string) string {
	for strings.HasPrefix(path, "//") {
		path = path[1:]
	}
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	return path
}

// recovery answers a panic with 500. http.ErrAbortHandler still aborts the connection.
func recovery(c *gin.Context) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(v)
		}
		err := fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		if c.Writer.Written() {
			_ = c.Error(err)
			panic(http.ErrAbortHandler) // a partial answer must not look complete
		}
		apierror.Write(c, err)
	}()
	c.Next()
}

// bodyTimeout is how long a caller may take to send a body.
const bodyTimeout = 30 * time.Second

// callerTimeout ends a request's context after the time in X-Envoy-Expected-Rq-Timeout-Ms, the header in
// which Envoy and package upstream send how long the caller waits.
func callerTimeout(c *gin.Context) {
	text := c.Request.Header.Get("X-Envoy-Expected-Rq-Timeout-Ms")
	if text == "" { // most requests: ParseInt would allocate an error
		return
	}
	ms, err := strconv.ParseInt(text, 10, 32)
	if err != nil || ms <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), time.Duration(ms)*time.Millisecond)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)
	c.Next()
}

// limitBody answers 413 to a request whose Content-Length is above limit, before reading the body (so a
// caller that sent "Expect: 100-continue" does not send it). Reading more than limit bytes, or for longer
// than bodyTimeout, fails. That includes net/http, which reads the rest of a body before it answers.
// Bodies take their memory from under.
func limitBody(limit int64, under *pool) gin.HandlerFunc {
	return func(c *gin.Context) {
		if c.Request.Body == nil || c.Request.Body == http.NoBody {
			return
		}
		// net/http removes the deadline at the body's end. An error means that there is no connection, as
		// in a test.
		_ = http.NewResponseController(c.Writer).SetReadDeadline(time.Now().Add(bodyTimeout))
		if c.Request.ContentLength > limit {
			refuseBody(c.Writer)
			apierror.Write(c, apierror.BodyTooLarge(limit))
			return
		}
		c.Request.Body = http.MaxBytesReader(innermost(c.Writer), c.Request.Body, limit)
		share := &bodyShare{under: under}
		c.Set(bodyShareKey, share)
		defer share.release()
		c.Next()
	}
}

const bodyShareKey = "fleetman/body"

// bodyShare counts what one request has taken from the pool.
type bodyShare struct {
	under *pool
	taken int64
}

// grow takes enough bytes for a buffer of size bytes and reports whether they were available.
func (s *bodyShare) grow(size int) bool {
	more := int64(size) - freeBody - s.taken
	if more <= 0 {
		return true
	}
	if !s.under.take(more) {
		return false
	}
	s.taken += more
	return true
}

func (s *bodyShare) release() { s.under.used.Add(-s.taken) }

// refuseBody makes net/http answer without reading the rest of the body, and delay closing the connection,
// so that a caller that is still sending can read the answer. The only interface for that is a
// MaxBytesReader that has reached its limit.
func refuseBody(w http.ResponseWriter) {
	_, _ = http.MaxBytesReader(innermost(w), io.NopCloser(strings.NewReader("x")), 0).Read(make([]byte, 1))
}

// innermost returns net/http's own ResponseWriter, the only one that a MaxBytesReader can inform.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = wrapper.Unwrap()
	}
}

func isJSON(contentType string) bool {
	if contentType == "application/json" { // every report: ParseMediaType would allocate a map
		return true
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && (mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"))
}

// JSONBody is Body for a request with a JSON Content-Type. For any other type it returns an error with
// status 415.
func JSONBody(c *gin.Context) ([]byte, error) {
	if !isJSON(c.Request.Header.Get("Content-Type")) {
		return nil, apierror.New(http.StatusUnsupportedMediaType, "Content-Type: %q: must be application/json", fleet.Shown(c.Request.Header.Get("Content-Type")))
	}
	return Body(c)
}

// Body reads the whole body of a request. Its errors have the status 413 for a body of too many bytes, 408
// for one that takes too long, 400 for an incomplete one, and 503 if the bodies being handled take
// all the memory that the pool has.
func Body(c *gin.Context) ([]byte, error) {
	if c.Request.Body == nil || c.Request.Body == http.NoBody {
		return nil, nil
	}
	value, _ := c.Get(bodyShareKey)
	share, _ := value.(*bodyShare)
	// The buffer grows with the bytes received, not with Content-Length: a caller need not send them. One
	// byte more than Content-Length lets Read return io.EOF without growing.
	text := make([]byte, 0, min(max(c.Request.ContentLength+1, bytes.MinRead), freeBody))
	for {
		if len(text) == cap(text) {
			if share != nil && !share.grow(2*cap(text)) {
				refuseBody(c.Writer)
				return nil, apierror.New(http.StatusServiceUnavailable, "body: no memory left of %d bytes for all bodies: must be sent again later", share.under.size)
			}
			text = append(make([]byte, 0, 2*cap(text)), text...)
		}
		n, err := c.Request.Body.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		if err == io.EOF {
			return text, nil
		}
		if err != nil {
			return nil, bodyError(err)
		}
	}
}

func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return apierror.BodyTooLarge(tooLarge.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return apierror.New(http.StatusRequestTimeout, "body: incomplete: must be sent within %s", bodyTimeout)
	}
	return apierror.New(http.StatusBadRequest, "body: %w", err)
}
