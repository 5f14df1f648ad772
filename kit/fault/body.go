package fault

import (
	"bytes"
	"context"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
)

// buffered is a ResponseWriter that buffers the whole answer.
type buffered struct {
	gin.ResponseWriter
	body bytes.Buffer
}

// buffer replaces c.Writer by a buffered one.
func buffer(c *gin.Context) *buffered {
	b := &buffered{ResponseWriter: c.Writer}
	c.Writer = b
	return b
}

func (b *buffered) Write(p []byte) (int, error)       { return b.body.Write(p) }
func (b *buffered) WriteString(s string) (int, error) { return b.body.WriteString(s) }
func (b *buffered) WriteHeaderNow()                   {}
func (b *buffered) Flush()                            {}
func (b *buffered) Size() int                         { return b.body.Len() }
func (b *buffered) Written() bool                     { return b.body.Len() > 0 }

// send sends the answer with the faults Truncate and Slow: at the lowest rate and cut to the shortest
// length. Its Content-Length is that of the whole answer.
func (b *buffered) send(ctx context.Context, faults []Injection) {
	body := b.body.Bytes()
	keep, perSecond, length := len(body), math.MaxInt, len(body)
	for _, f := range faults {
		switch f.Kind {
		case Truncate: // at least one byte is missing, even of an empty body
			keep, length = min(keep, int(f.Bytes), max(len(body)-1, 0)), max(len(body), 1)
		case Slow:
			perSecond = min(perSecond, int(f.Bytes))
		}
	}
	b.Header().Set("Content-Length", strconv.Itoa(length))
	b.ResponseWriter.WriteHeaderNow()
	if perSecond == math.MaxInt {
		_, _ = b.ResponseWriter.Write(body[:keep])
	} else {
		b.trickle(ctx, body[:keep], perSecond)
	}
	if keep < length {
		b.ResponseWriter.Flush()
		panic(http.ErrAbortHandler)
	}
}

// tick is the time between two writes of a slow body.
const tick = 100 * time.Millisecond

// trickle sends body at perSecond bytes per second. It aborts the request when ctx is done.
func (b *buffered) trickle(ctx context.Context, body []byte, perSecond int) {
	b.ResponseWriter.Flush()
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	start := time.Now()
	for sent := 0; sent < len(body); {
		select {
		case <-ctx.Done():
			panic(http.ErrAbortHandler)
		case <-ticks.C:
		}
		due := min(int(time.Since(start).Seconds()*float64(perSecond)), len(body))
		if due > sent {
			_, _ = b.ResponseWriter.Write(body[sent:due])
			b.ResponseWriter.Flush()
			sent = due
		}
	}
}
