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

// send sends the answer as the faults of its body have it: at the slowest of their paces, and cut
// to the shortest of their lengths. The length it announces is that of the whole.
func (h *held) send(ctx context.Context, faults []Injection) {
	body := h.body.Bytes()
	keep, perSecond, length := len(body), math.MaxInt, len(body)
	for _, f := range faults {
		switch f.Kind {
		case Truncate: // never whole; an answer without a body breaks off after its headers
			keep, length = min(keep, int(f.Bytes), max(len(body)-1, 0)), max(len(body), 1)
		case Slow:
			perSecond = min(perSecond, int(f.Bytes))
		}
	}
	h.Header().Set("Content-Length", strconv.Itoa(length))
	h.ResponseWriter.WriteHeaderNow()
	if perSecond == math.MaxInt {
		_, _ = h.ResponseWriter.Write(body[:keep])
	} else {
		h.trickle(ctx, body[:keep], perSecond)
	}
	if keep < length {
		h.ResponseWriter.Flush()
		panic(http.ErrAbortHandler)
	}
}

// pace is how often a slow body sends a piece.
const pace = 100 * time.Millisecond

// trickle sends body at a number of bytes a second, while the caller is there.
func (h *held) trickle(ctx context.Context, body []byte, perSecond int) {
	h.ResponseWriter.Flush()
	ticks := time.NewTicker(pace)
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
			_, _ = h.ResponseWriter.Write(body[sent:due])
			h.ResponseWriter.Flush()
			sent = due
		}
	}
}
