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

// Header is the header of an answer that names the kind of an injected fault, once per fault. It tells
// injected failures from real ones.
const Header = "X-Fault"

// Injector injects the faults of a Set into requests.
type Injector struct {
	Set   *Set
	Log   *slog.Logger
	Count metric.Int64Counter // counts injected faults by kind
	Exit  func(code int)      // os.Exit
}

// Middleware injects the faults of one request: first those that come before the answer or replace
// it, then those of the answer's body.
func (i Injector) Middleware(c *gin.Context) {
	injections := i.Set.Decide(c.Request)
	var body []Injection
	for _, f := range injections {
		if f.Kind == Idle {
			i.closeIdle(c.Request, f)
			continue
		}
		i.note(c, f.Kind)
		if f.onBody() {
			body = append(body, f)
		}
	}
	if body == nil {
		i.inject(c, injections)
		return
	}
	answer := buffer(c)
	i.inject(c, injections)
	c.Next()
	answer.send(c.Request.Context(), body)
}

// inject injects the faults that come before the answer or replace it.
func (i Injector) inject(c *gin.Context, injections []Injection) {
	for _, f := range injections {
		switch f.Kind {
		case Delay:
			wait(c, f.Wait)
		case Capacity:
			if f.Refused {
				c.AbortWithStatus(http.StatusServiceUnavailable)
				continue
			}
			wait(c, f.Wait)
		case Status:
			if f.RetryAfter > 0 {
				c.Header("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())))
			}
			c.AbortWithStatus(f.Status)
		case Reset:
			reset(c)
		case Hang:
			wait(c, maxDuration)
			panic(http.ErrAbortHandler) // no answer, even after the longest wait
		case Crash:
			i.Log.ErrorContext(c.Request.Context(), "crash injected")
			i.Exit(1)
		}
	}
}

// note adds a fault to the answer's headers, the span and the metrics.
func (i Injector) note(c *gin.Context, kind Kind) {
	c.Writer.Header().Add(Header, string(kind))
	trace.SpanFromContext(c.Request.Context()).SetAttributes(attributeOf(kind))
	i.count(c.Request.Context(), kind)
}

func (i Injector) count(ctx context.Context, kind Kind) {
	i.Count.Add(ctx, 1, metric.WithAttributes(attributeOf(kind)))
}

func attributeOf(kind Kind) attribute.KeyValue {
	return attribute.String("fleetman.fault", string(kind))
}

// closeIdle makes r's connection close once it has been idle for as long as f has it.
func (i Injector) closeIdle(r *http.Request, f Injection) {
	i.Set.conns.closeAfter(r, f.Idle, func() bool {
		if !i.Set.fires(f.rule) {
			return false
		}
		i.count(context.Background(), Idle)
		return true
	})
}

// wait waits for d. It reads the body first, because net/http notices a closed connection only after
// that. If the caller leaves or its timeout ends meanwhile, wait aborts the request: returning would
// send an empty 200.
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

// replayed is a body that has been read once, and the error that ended it.
type replayed struct {
	read *bytes.Reader // not embedded: its WriteTo would drop the error
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

// reset closes the connection with an RST instead of a FIN.
func reset(c *gin.Context) {
	if conn, _, err := http.NewResponseController(c.Writer).Hijack(); err == nil {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
	panic(http.ErrAbortHandler) // measured as aborted, not as an answer
}
