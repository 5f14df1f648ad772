package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// connections is how many keep-alive connections the load has, each with one request in flight.
const connections = 16

// client is one connection's part of the load. It has no http.Client, so that it takes little from
// the processes that are measured on the same cores.
type client struct {
	conn    net.Conn
	answers *bufio.Reader
	request []byte
	next    func(b []byte) []byte // appends the next request
}

// load sends requests to addr until d is over and returns how many were answered with 200.
// requests makes each connection's source of requests.
func load(ctx context.Context, addr string, d time.Duration, requests func(conn int) func([]byte) []byte) (answered int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var done atomic.Int64
	errs := make([]error, connections)
	var all sync.WaitGroup
	end := time.Now().Add(d)
	for i := range connections {
		all.Go(func() {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				errs[i] = err
				return
			}
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			_ = conn.SetDeadline(end.Add(30 * time.Second)) // a TCP connection has deadlines
			c := client{conn: conn, answers: bufio.NewReader(conn), next: requests(i)}
			for more := true; more; more = time.Now().Before(end) { // at least one
				if errs[i] = c.once(); errs[i] != nil {
					cancel()
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	return done.Load(), errors.Join(errs...)
}

func (c *client) once() error {
	c.request = c.next(c.request[:0])
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	response, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return fmt.Errorf("read an answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		line, _, _ := bytes.Cut(c.request, []byte("\r\n"))
		return fmt.Errorf("%s: status %d: must be 200", line, response.StatusCode)
	}
	if _, err = io.Copy(io.Discard, response.Body); err != nil {
		return fmt.Errorf("read an answer: %w", err)
	}
	return nil
}

// ask makes one request and returns the body of its answer, which must have status 200.
func ask(addr, path string) (string, error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + addr + path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: status %d: must be 200: %s", path, response.StatusCode, body)
	}
	return string(body), err
}

func get(b []byte, path string) []byte {
	return append(append(append(b, "GET "...), path...), " HTTP/1.1\r\nHost: bench\r\n\r\n"...)
}
