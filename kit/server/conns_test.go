package server_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"fleetman.example/kit/server/servertest"
)

const getRoot = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

func TestConnectionsAreBounded(t *testing.T) {
	s := servertest.Start(t, servertest.Routes(echo), map[string]string{"MAX_CONNECTIONS": "4"})
	var kept []net.Conn
	for range 4 {
		conn := servertest.Dial(t, s.URL, getRoot)
		servertest.ReadAnswer(t, conn, getRoot).Is(t, 200, "root")
		kept = append(kept, conn)
	}
	conn := servertest.Dial(t, s.URL, getRoot)
	above := servertest.ReadAnswer(t, conn, getRoot).Untimed()
	above.Is(t, 503, shape(503, "connections: 5: must be at most 4 (MAX_CONNECTIONS)", "/"), "Retry-After", "1")
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection above the bound: got %v, want its end", err)
	}
	servertest.Eventually(t, "there is room again", func() bool {
		kept[0].Close()
		a, err := servertest.Try(httptest.NewRequest("GET", s.URL+"/", nil))
		return err == nil && a.Status == 200
	})
}

// Above 1.25 times the limit, a connection is closed without reading from it.
func TestConnectionsFarAboveTheBoundAreClosed(t *testing.T) {
	s := servertest.Start(t, servertest.Routes(echo), map[string]string{"MAX_CONNECTIONS": "1"})
	first := servertest.Dial(t, s.URL, getRoot) // it stays open
	servertest.ReadAnswer(t, first, getRoot).Is(t, 200, "root")
	conn := servertest.Dial(t, s.URL, getRoot) // the second of 1, more than 1.25 times the limit
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %d bytes, %v", n, err)
	}
}

// 1,500 connections and a quarter more need at most 73 MiB, and stay below the 128 MiB of the manifests with the 25 MB of
// an idle service and the 16 MiB of bodies. With as many headers as are accepted, each may need twice as much.
func TestConnectionsCostLittle(t *testing.T) {
	const callers, usual = 200, 40 << 10 // usual: bytes per connection
	headers := strings.Builder{}
	for i := range 70 {
		fmt.Fprintf(&headers, "X-%d: %s\r\n", i, strings.Repeat("y", 180))
	}
	for name, tc := range map[string]struct {
		text string
		most uint64 // bytes per connection
	}{
		"announce much, send little": {"POST /vehicles/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{", usual},
		"many headers":               {"POST /vehicles/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n" + headers.String() + "\r\n{", 2 * usual},
	} {
		t.Run(name, func(t *testing.T) {
			s := servertest.Start(t, servertest.Routes(echo), nil)
			before := inUse()
			var conns []net.Conn
			for range callers {
				conns = append(conns, servertest.Dial(t, s.URL, tc.text))
			}
			// When this last request is answered, those of the other connections have been read.
			s.Call(t, "GET", "/", "").Has(t, 200, "")
			if each := (max(inUse(), before) - before) / callers; each > tc.most {
				t.Errorf("a connection costs %d bytes, want at most %d", each, tc.most)
			}
			for _, c := range conns {
				c.Close() // otherwise the drain waits for it
			}
		})
	}
}

// inUse returns the size of heap and stacks, in bytes.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
