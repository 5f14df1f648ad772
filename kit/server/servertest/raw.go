package servertest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Raw sends a request to the server at url byte for byte, and returns its answer.
func Raw(t testing.TB, url, request string) Answer {
	t.Helper()
	conn := Dial(t, url, request)
	defer conn.Close()
	return ReadAnswer(t, conn, request)
}

// Dial opens a connection to the server at url, until the end of the test, and sends text on it.
func Dial(t testing.TB, url, text string) net.Conn {
	t.Helper()
	conn := Must(net.Dial("tcp", strings.TrimPrefix(url, "http://")))
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience)) // never fails on a TCP connection
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

// ReadAnswer reads the answer to request from a connection.
func ReadAnswer(t testing.TB, conn io.Reader, request string) Answer {
	t.Helper()
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%.80q: %v", request, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%.80q: read answer: %v", request, err)
	}
	return Answer{request, resp.StatusCode, resp.Header, string(body)}
}

// ListenAll listens on one port of several addresses of loopback, until the end of the test.
func ListenAll(t testing.TB, hosts ...string) (port string, listeners []net.Listener) {
	t.Helper()
	for range 100 { // a port that is free on one address may be in use on another
		port, listeners = "0", nil
		for _, host := range hosts {
			l, err := net.Listen("tcp", net.JoinHostPort(host, port))
			if err != nil {
				break
			}
			t.Cleanup(func() { l.Close() })
			listeners = append(listeners, l)
			_, port, _ = net.SplitHostPort(l.Addr().String())
		}
		if len(listeners) == len(hosts) {
			return port, listeners
		}
	}
	t.Fatalf("no port is free on all of %s", hosts)
	return "", nil
}
