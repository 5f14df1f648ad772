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

	"fleetman.example/lab/scrape"
)

// connections is how many keep-alive connections the load has, each with one request in flight.
const connections = 16

// load sends requests to addr until d is over and returns how many were answered with 200.
// requests makes each connection's source of requests, which appends the next one.
func load(ctx context.Context, addr string, d time.Duration, requests func(conn int) func([]byte) []byte) (answered int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var done atomic.Int64
	errs := make([]error, connections)
	var all sync.WaitGroup
	end := time.Now().Add(d)
	for i := range connections {
		all.Go(func() {
			if errs[i] = exchange(ctx, addr, end, requests(i), &done); errs[i] != nil {
				cancel()
			}
		})
	}
	all.Wait()
	return done.Load(), errors.Join(errs...)
}

// exchange is one connection's part of the load. It has no http.Client, so that it takes little from the processes
// that are measured on the same cores.
func exchange(ctx context.Context, addr string, end time.Time, next func([]byte) []byte, done *atomic.Int64) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_ = conn.SetDeadline(end.Add(30 * time.Second)) // a TCP connection has deadlines
	answers := bufio.NewReader(conn)
	var request []byte
	for more := true; more; more = time.Now().Before(end) { // at least one
		request = next(request[:0])
		if _, err := conn.Write(request); err != nil {
			return err
		}
		response, err := http.ReadResponse(answers, nil)
		if err == nil && response.StatusCode != http.StatusOK {
			line, _, _ := bytes.Cut(request, []byte("\r\n"))
			return fmt.Errorf("%s: status %d: must be 200", line, response.StatusCode)
		}
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
		}
		if err != nil {
			return fmt.Errorf("read an answer: %w", err)
		}
		done.Add(1)
	}
	return nil
}

// asking is the client of ask, each of whose requests has a connection of its own.
var asking = http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// ask makes one request and returns the body of its answer, which must have status 200.
func ask(ctx context.Context, addr, path string) (string, error) {
	status, body, err := scrape.Body(ctx, &asking, "http://"+addr+path)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET %s: status %d: must be 200: %s", path, status, body)
	}
	return string(body), err
}

func get(b []byte, path string) []byte {
	return append(append(append(b, "GET "...), path...), " HTTP/1.1\r\nHost: bench\r\n\r\n"...)
}
