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
	"fleetman.example/kit/fleet"
	"fleetman.example/kit/observe"
)

func init() { gin.SetMode(gin.ReleaseMode) } // gin's debug mode prints every route

// Router is gin with what every service shares: measurements, header propagation, recovery, a
// bound on bodies, the contract's errors for unknown paths and methods. Routes are registered
// without a trailing slash; a trailing or doubled leading one reaches the same handler.
type Router struct{ *gin.Engine }

// NewRouter returns a Router without routes.
func NewRouter(cfg Config, o *observe.Observer) Router {
	r := gin.New()
	r.UseRawPath, r.UnescapePathValues = true, true // a name with %2F is one segment, and refused as a name
	r.RedirectTrailingSlash, r.RedirectFixedPath = false, false
	r.HandleMethodNotAllowed = true
	r.ContextWithFallback = true
	r.Use(o.Middleware(cfg.PropagateHeaders), patience, bound(cfg.MaxBody, &pool{size: max(bodyPool, cfg.MaxBody)}))
	if cfg.Faults != nil {
		r.Use(cfg.injector(o).Middleware)
	}
	r.Use(recovery)
	r.NoRoute(func(c *gin.Context) {
		apierror.Write(c, apierror.New(http.StatusNotFound, "no such path"))
	})
	r.NoMethod(func(c *gin.Context) { // gin has set Allow
		if c.Request.Method == http.MethodOptions {
			c.Status(http.StatusOK)
			return
		}
		apierror.Write(c, apierror.New(http.StatusMethodNotAllowed, "method %s not supported here", c.Request.Method))
	})
	return Router{r}
}

// ServeHTTP routes r by its canonical path, and HEAD as GET.
func (r Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	routed := req
	path, raw := canonical(req.URL.Path), canonical(req.URL.RawPath)
	raw = strings.ReplaceAll(raw, "+", "%2B") // gin would read it as a blank
	if path != req.URL.Path || raw != req.URL.RawPath || req.Method == http.MethodHead {
		u, copied := *req.URL, *req
		u.Path, u.RawPath = path, raw
		copied.URL = &u
		if req.Method == http.MethodHead {
			copied.Method = http.MethodGet // net/http drops the body of its own request's answer
		}
		routed = &copied
	}
	r.Engine.ServeHTTP(w, routed)
	req.Pattern = routed.Pattern // where OpenTelemetry looks for the route
}

// canonical leaves one leading slash and takes one trailing slash off.
func canonical(path string) string {
	for strings.HasPrefix(path, "//") {
		path = path[1:]
	}
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	return path
}

// recovery turns a panic into a 500; http.ErrAbortHandler still aborts the connection.
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
			panic(http.ErrAbortHandler) // the caller must not take half an answer for a whole one
		}
		apierror.Write(c, err)
	}()
	c.Next()
}

// bodyTimeout is how long a caller may take to send a body.
const bodyTimeout = 30 * time.Second

// patience ends a request's context when its caller stops waiting, where the caller says when: in
// the header in which Envoy says so.
func patience(c *gin.Context) {
	text := c.Request.Header.Get("X-Envoy-Expected-Rq-Timeout-Ms")
	if text == "" { // most requests; ParseInt would make an error each time
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

// bound refuses a body that says it has more than limit bytes, before it is sent where the caller
// waits to be told. It makes reading more than limit bytes of a body fail, and waiting for it longer
// than bodyTimeout, for net/http too, which reads what a handler has left before it answers.
func bound(limit int64, under *pool) gin.HandlerFunc {
	return func(c *gin.Context) {
		if c.Request.Body == nil || c.Request.Body == http.NoBody {
			return
		}
		// net/http lifts the deadline when it has seen the body's end. An error: there is no
		// connection to wait for.
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

// bodyShare is what one request has taken of the pool.
type bodyShare struct {
	under *pool
	taken int64
}

// grow takes what a buffer of size bytes needs, and reports whether there was room.
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

// refuseBody makes net/http answer without waiting for the body, and leave a caller that is still
// sending it the time to read the answer. It has no other way to be told than a reader that has
// met its limit.
func refuseBody(w http.ResponseWriter) {
	_, _ = http.MaxBytesReader(innermost(w), io.NopCloser(strings.NewReader("x")), 0).Read(make([]byte, 1))
}

// innermost is net/http's own writer: told of a body that is too large, it leaves a caller that
// is still sending the time to read the answer.
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
	if contentType == "application/json" { // what every report says; the parser makes a map each time
		return true
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && (mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"))
}

// JSONBody is Body for a request that says it is JSON; 415 for one of another type.
func JSONBody(c *gin.Context) ([]byte, error) {
	if !isJSON(c.Request.Header.Get("Content-Type")) {
		return nil, apierror.New(http.StatusUnsupportedMediaType, "Content-Type: %q: must be application/json", fleet.Shown(c.Request.Header.Get("Content-Type")))
	}
	return Body(c)
}

// Body reads the whole body of a request. Errors are the caller's: 413 for too many bytes, 408 for
// a body that takes too long, 400 for one that broke off. Only 503 is not: the bodies under way
// take all the memory there is for them.
func Body(c *gin.Context) ([]byte, error) {
	if c.Request.Body == nil || c.Request.Body == http.NoBody {
		return nil, nil
	}
	value, _ := c.Get(bodyShareKey)
	share, _ := value.(*bodyShare)
	// As much as has come, not as much as is announced: a caller may announce and never send.
	text := make([]byte, 0, min(max(c.Request.ContentLength+1, bytes.MinRead), freeBody)) // room to see the end without growing
	for {
		if len(text) == cap(text) {
			if share != nil && !share.grow(2*cap(text)) {
				refuseBody(c.Writer)
				return nil, apierror.New(http.StatusServiceUnavailable, "body: bodies under way take %d bytes: must be sent again later", share.under.size)
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
