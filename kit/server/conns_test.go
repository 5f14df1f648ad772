package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"fleetman.example/kit/server/servertest"
)

// dial opens a connection and sends text on it.
func dial(t *testing.T, s *servertest.Service, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestConnectionsAreBounded(t *testing.T) {
	s := servertest.Start(t, servertest.Routes(echo), map[string]string{"MAX_CONNECTIONS": "4"})
	const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	answer := func(conn net.Conn) servertest.Answer {
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return servertest.Answer{Request: err.Error()}
		}
		body, _ := io.ReadAll(resp.Body)
		if resp.Close {
			resp.Header.Set("Connection", "close") // which ReadResponse takes off
		}
		return servertest.Answer{Request: request, Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
	}
	var kept []net.Conn
	for range 4 {
		conn := dial(t, s, request)
		answer(conn).Is(t, 200, "root")
		kept = append(kept, conn)
	}
	above := untimed(answer(dial(t, s, request)))
	above.Is(t, 503, shape(503, "connections: 5: must be at most 4 (MAX_CONNECTIONS)", "/"))
	if h := above.Header; h.Get("Retry-After") != "1" || h.Get("Connection") != "close" {
		t.Errorf("above the bound: got %v", h)
	}
	servertest.Eventually(t, "the connection above the bound is closed, and there is room again", func() bool {
		kept[0].Close()
		conn := dial(t, s, request)
		defer conn.Close()
		return answer(conn).Status == 200
	})
}

// Above 1.25 times the limit, a connection is closed without reading from it.
func TestConnectionsFarAboveTheBoundAreClosed(t *testing.T) {
	s := servertest.Start(t, servertest.Routes(echo), map[string]string{"MAX_CONNECTIONS": "1"})
	raw(t, s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", false).Is(t, 200, "root") // and is held
	conn := dial(t, s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")                  // which would be answered
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %d bytes, %v", n, err)
	}
}

// The memory of 1,500 connections and a quarter more is far below the 128 MiB of the manifests, in addition to
// the 25 MB of an idle service and the 16 MiB of bodies. most is the limit per connection.
func TestConnectionsCostLittle(t *testing.T) {
	const callers, most = 200, 40 << 10
	headers := strings.Builder{}
	for i := range 70 {
		fmt.Fprintf(&headers, "X-%d: %s\r\n", i, strings.Repeat("y", 180))
	}
	for name, tc := range map[string]struct {
		text string
		most uint64
	}{
		"announce much, send little": {"POST /vehicles/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{", most},
		"many headers":               {"POST /vehicles/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n" + headers.String() + "\r\n{", 2 * most},
	} {
		t.Run(name, func(t *testing.T) {
			s := servertest.Start(t, servertest.Routes(echo), nil)
			before := inUse()
			var conns []net.Conn
			for range callers {
				conns = append(conns, dial(t, s, tc.text))
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
