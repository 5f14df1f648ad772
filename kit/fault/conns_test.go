package fault

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/metric/noop"
)

// pipes is a listener without a network, so that synctest has its time.
type pipes struct {
	arriving chan net.Conn
	closed   chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.arriving:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p pipes) Close() error { close(p.closed); return nil }
func (pipes) Addr() net.Addr { return &net.TCPAddr{} }

// caller is one connection to a server with faults.
type caller struct {
	net.Conn
	read *bufio.Reader
}

// ask sends a request and returns its answer with an unread body.
func (c caller) ask(t *testing.T, path string) *http.Response {
	t.Helper()
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	resp, err := http.ReadResponse(c.read, nil)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return resp
}

func (c caller) get(t *testing.T, path string) {
	t.Helper()
	resp := c.ask(t, path)
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || string(body) != "answer" || resp.Close || resp.Header[Header] != nil || resp.Header["Keep-Alive"] != nil {
		t.Errorf("got %d %q %v, %v, want an answer like any other", resp.StatusCode, body, resp.Header, err)
	}
}

// never is the time of a connection that stays open for an hour.
const never = time.Hour

// closesAfter returns how long the connection stays open.
func (c caller) closesAfter() time.Duration {
	begin := time.Now()
	_ = c.SetReadDeadline(begin.Add(never))
	_, _ = c.read.ReadByte()
	return time.Since(begin)
}

// serve runs a server with the rules and returns a function that connects to it.
func serve(t *testing.T, text string) (*Set, func() caller) {
	set := NewSet(1, rules(t, text), time.Now)
	count, _ := noop.Meter{}.Int64Counter("x")
	r := gin.New()
	r.Use(Injector{Set: set, Log: slog.New(slog.DiscardHandler), Count: count}.Middleware)
	r.GET("/*path", func(c *gin.Context) {
		if c.Request.URL.Path == "/slow" {
			time.Sleep(time.Minute)
		}
		c.String(http.StatusOK, "answer")
	})
	listener := pipes{make(chan net.Conn), make(chan struct{})}
	server := &http.Server{Handler: r, ConnContext: set.ConnContext, ConnState: set.ConnState}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	return set, func() caller {
		here, there := net.Pipe()
		t.Cleanup(func() { here.Close() })
		listener.arriving <- there
		return caller{here, bufio.NewReader(here)}
	}
}

func TestIdle(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"idle=5s":                      5 * time.Second,
		"idle=0s":                      0,
		"idle=5s;idle=2s;idle=9s":      2 * time.Second,
		"idle=5s,path=/elsewhere":      never,
		"idle=5s,rate=0":               never,
		"idle=5s;capacity=100":         5 * time.Second,
		"idle=5s,path=/driver":         5 * time.Second,
		"idle=1s,path=/other;idle=10s": 10 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			set, connect := serve(t, text)
			c := connect()
			c.get(t, "/driver")
			if got := c.closesAfter(); got != want {
				t.Errorf("%s: closed after %s, want %s", text, got, want)
			}
			fired := int64(0)
			for _, r := range set.state().Rules {
				fired += r.Fired
			}
			if (fired == 1) != (want != never) {
				t.Errorf("%s: fired %d times", text, fired)
			}
		})
	}
}

// A connection in use stays open: each request starts its time again, also one that matches no rule, as of a
// proxy that shares its connections among callers, and one that is being served has none.
func TestIdleStartsAgain(t *testing.T) {
	for rule, paths := range map[string][]string{
		"idle=5s":              {"/a", "/a", "/slow", "/a"},
		"idle=5s,path=/driver": {"/driver", "/other", "/slow"},
	} {
		synctest.Test(t, func(t *testing.T) {
			set, connect := serve(t, rule)
			c := connect()
			for _, path := range paths {
				c.get(t, path)
				time.Sleep(4 * time.Second)
			}
			before, closed, after := set.state().Rules[0].Fired, c.closesAfter(), set.state().Rules[0].Fired
			if before != 0 || closed != time.Second || after != 1 {
				t.Errorf("%s: closed after 4 s and %s, fired %d times before and %d after, want 4 s and 1 s, once", rule, closed, before, after)
			}
		})
	}
}

// A rule that is cleared, or has fired as often as it may, closes no connection that it has met before.
func TestIdleIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set, connect := serve(t, "idle=5s,count=1")
		first, second := connect(), connect()
		for _, c := range []caller{first, second} {
			c.get(t, "/")
			time.Sleep(time.Second)
		}
		if a, b := first.closesAfter(), second.closesAfter(); a != 3*time.Second || b != never {
			t.Errorf("closed after %s and %s, want 3s and never", a, b)
		}
		third := connect()
		set.Replace(rules(t, "idle=5s"))
		third.get(t, "/")
		set.Replace(nil)
		if got := third.closesAfter(); got != never {
			t.Errorf("closed after %s by a rule that is cleared", got)
		}
	})
}

// TestSlowPace checks the times of an answer's six bytes: the rate is that of the rule, below and above one byte
// for each write, every 100 ms.
func TestSlowPace(t *testing.T) {
	for perSecond, want := range map[string]string{
		"4":  "1 bytes after 300ms; 1 bytes after 500ms; 1 bytes after 800ms; 1 bytes after 1s; 1 bytes after 1.3s; 1 bytes after 1.5s; ",
		"20": "2 bytes after 100ms; 2 bytes after 200ms; 2 bytes after 300ms; ",
		"40": "4 bytes after 100ms; 2 bytes after 200ms; ",
	} {
		synctest.Test(t, func(t *testing.T) {
			_, connect := serve(t, "slow="+perSecond)
			begin := time.Now()
			resp := connect().ask(t, "/")
			got, piece := "", make([]byte, 100)
			var err error
			for err == nil {
				var n int
				if n, err = resp.Body.Read(piece); n > 0 {
					got += fmt.Sprintf("%d bytes after %v; ", n, time.Since(begin))
				}
			}
			if err != io.EOF || got != want {
				t.Errorf("%s a second: got %s%v, want %s", perSecond, got, err, want)
			}
		})
	}
}
