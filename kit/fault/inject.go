package fault

import (
	"bytes"
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
	injections := i.Set.Decide(c.Request)
	var body []Injection
	for _, f := range injections {
		i.note(c, f.Kind)
		if f.onBody() {
			body = append(body, f)
		}
	}
	if body == nil {
		i.inject(c, injections)
		return
	}
	held := hold(c)
	i.inject(c, injections)
	c.Next()
	held.send(c.Request.Context(), body)
}

// inject does what is done before the answer, or instead of it.
func (i Injector) inject(c *gin.Context, injections []Injection) {
	for _, f := range injections {
		switch f.Kind {
		case Delay:
			wait(c, f.Wait)
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
		}
	}
}

// note tells the answer, the span and the metrics of a fault.
func (i Injector) note(c *gin.Context, kind Kind) {
	c.Writer.Header().Add(Header, string(kind))
	ctx, attr := c.Request.Context(), attribute.String("fleetman.fault", string(kind))
	trace.SpanFromContext(ctx).SetAttributes(attr)
	i.Count.Add(ctx, 1, metric.WithAttributes(attr))
}

// wait holds a request up. It reads the body first: net/http sees the caller leave only then.
// When the caller has left, or no longer waits, the request ends without an answer: an empty 200
// would be taken for one.
func wait(c *gin.Context, d time.Duration) {
	body, err := io.ReadAll(c.Request.Body)
	c.Request.Body = &replayed{bytes.NewReader(body), err}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.Request.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// replayed is a body that has been read, with the error that ended it.
type replayed struct {
	read *bytes.Reader // not embedded: its WriteTo would pass the error over
	err  error
}

func (r *replayed) Read(p []byte) (int, error) {
	n, err := r.read.Read(p)
	if err == io.EOF && r.err != nil {
		err = r.err
	}
	return n, err
}

func (*replayed) Close() error { return nil }

// reset closes the connection with an RST, so that the caller sees a reset and not an end.
func reset(c *gin.Context) {
	if conn, _, err := http.NewResponseController(c.Writer).Hijack(); err == nil {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
	panic(http.ErrAbortHandler) // what measures the request must not take it for an answer
}
