package fault

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Header says of an answer which fault was injected, so that a real failure is never taken for
// one. An answer with several has it several times.
const Header = "X-Fault"

// Injector makes requests meet the faults of a Set.
type Injector struct {
	Set   *Set
	Log   *slog.Logger
	Count metric.Int64Counter // of injected faults, by kind
	Exit  func(code int)      // ends the process
}

// Middleware is the injector in a router. What is done to an answer's body is done after all
// else.
func (i Injector) Middleware(c *gin.Context) {
	var onBody *Injection
	for _, f := range i.Set.Decide(c.Request) {
		i.note(c, f.Kind)
		switch f.Kind {
		case Delay:
			if !wait(c, f.Wait) {
				return
			}
		case Status:
			if f.RetryAfter > 0 {
				c.Header("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())))
			}
			c.AbortWithStatus(f.Status)
		case Reset:
			reset(c)
		case Hang:
			wait(c, longest)
			panic(http.ErrAbortHandler) // should it be stopped while the caller still waits
		case Crash:
			i.Log.ErrorContext(c.Request.Context(), "crash injected")
			i.Exit(1)
		case Truncate, Slow:
			onBody = &f
		}
	}
	if onBody == nil || c.IsAborted() {
		return
	}
	held := hold(c)
	c.Next()
	if onBody.Kind == Truncate {
		held.truncate(int(onBody.Bytes))
	}
	held.trickle(c.Request.Context(), int(onBody.Bytes))
}

// note tells the answer, the span and the metrics of a fault.
func (i Injector) note(c *gin.Context, kind Kind) {
	c.Writer.Header().Add(Header, string(kind))
	ctx, attr := c.Request.Context(), attribute.String("fleetman.fault", string(kind))
	trace.SpanFromContext(ctx).SetAttributes(attr)
	i.Count.Add(ctx, 1, metric.WithAttributes(attr))
}

// wait holds a request up. It reads the body first: net/http sees the caller leave only then. It
// answers false, with the request aborted, when the caller has left.
func wait(c *gin.Context, d time.Duration) bool {
	body, err := io.ReadAll(c.Request.Body)
	c.Request.Body = &replayed{bytes.NewReader(body), err}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.Request.Context().Done():
		c.Abort()
		return false
	}
}

// replayed is a body that has been read, with the error that ended it.
type replayed struct {
	*bytes.Reader
	err error
}

func (r *replayed) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF && r.err != nil {
		err = r.err
	}
	return n, err
}

func (*replayed) Close() error { return nil }

// reset closes the connection with an RST, so that the caller sees a reset and not an end.
func reset(c *gin.Context) {
	c.Abort()
	conn, _, err := http.NewResponseController(c.Writer).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // not a connection of one's own: as near as it gets
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// held is an answer that is kept back until it is whole.
type held struct {
	gin.ResponseWriter
	body bytes.Buffer
}

func hold(c *gin.Context) *held {
	h := &held{ResponseWriter: c.Writer}
	c.Writer = h
	return h
}

func (h *held) Write(b []byte) (int, error)       { return h.body.Write(b) }
func (h *held) WriteString(s string) (int, error) { return h.body.WriteString(s) }
func (h *held) WriteHeaderNow()                   {}
func (h *held) Flush()                            {}
func (h *held) Size() int                         { return h.body.Len() }
func (h *held) Written() bool                     { return h.body.Len() > 0 }

// truncate sends the first keep bytes of the answer, with the length of the whole, and breaks the
// connection. An answer without a body breaks off after its headers.
func (h *held) truncate(keep int) {
	body := h.body.Bytes()
	h.Header().Set("Content-Length", strconv.Itoa(max(len(body), 1)))
	h.ResponseWriter.WriteHeaderNow()
	_, _ = h.ResponseWriter.Write(body[:min(keep, max(len(body)-1, 0))])
	h.ResponseWriter.Flush()
	panic(http.ErrAbortHandler)
}

// pace is how often a slow body sends a piece.
const pace = 100 * time.Millisecond

// trickle sends the answer at a number of bytes a second, while the caller is there.
func (h *held) trickle(ctx context.Context, perSecond int) {
	body := h.body.Bytes()
	h.Header().Set("Content-Length", strconv.Itoa(len(body)))
	h.ResponseWriter.WriteHeaderNow()
	h.ResponseWriter.Flush()
	piece, every := perSecond*int(pace)/int(time.Second), pace
	if piece == 0 {
		piece, every = 1, time.Second/time.Duration(perSecond)
	}
	timer := time.NewTicker(every)
	defer timer.Stop()
	for len(body) > 0 {
		select {
		case <-ctx.Done():
			panic(http.ErrAbortHandler)
		case <-timer.C:
		}
		n := min(piece, len(body))
		_, _ = h.ResponseWriter.Write(body[:n])
		h.ResponseWriter.Flush()
		body = body[n:]
	}
}
