package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// connections is how many keep-alive connections the load has, each with one request under way.
const connections = 16

// client is one connection's part of the load. It speaks just enough HTTP/1.1 to be cheap, so
// that it takes little from the processes that are measured on the same cores.
type client struct {
	conn    net.Conn
	answers *bufio.Reader
	request []byte
	next    func(b []byte) []byte // appends the next request
}

// load sends requests to addr until d is over and answers how many were answered with 200.
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
			for time.Now().Before(end) {
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
	status, _, err := readAnswer(c.answers)
	if err == nil && status != 200 {
		line, _, _ := bytes.Cut(c.request, []byte("\r\n"))
		err = fmt.Errorf("%s: answered %d, expected 200", line, status)
	}
	return err
}

// readAnswer reads one answer with a Content-Length of at most 1 MB. Its body is valid until the next read.
func readAnswer(r *bufio.Reader) (status int, body []byte, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, nil, fmt.Errorf("read an answer: %w", err)
	}
	if len(line) < 12 || string(line[:9]) != "HTTP/1.1 " {
		return 0, nil, fmt.Errorf("answer %.20q: expected HTTP/1.1", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, fmt.Errorf("answer %.20q: expected a status", line)
	}
	length := -1
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return 0, nil, fmt.Errorf("read an answer: %w", err)
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			break
		}
		key, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(key, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil || length > 1<<20 {
				return 0, nil, fmt.Errorf("answer: Content-Length %q: expected at most 1 MB", value)
			}
		}
	}
	if length < 0 {
		return 0, nil, errors.New("answer: expected a Content-Length")
	}
	if length <= r.Size() {
		if body, err = r.Peek(length); err == nil {
			_, err = r.Discard(length)
		}
		return status, body, err
	}
	body = make([]byte, length)
	_, err = io.ReadFull(r, body)
	return status, body, err
}

// ask makes one request and answers its body, which must come with 200.
func ask(addr, path string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write(get(nil, path)); err != nil {
		return "", err
	}
	status, body, err := readAnswer(bufio.NewReaderSize(conn, 64<<10))
	if err == nil && status != 200 {
		err = fmt.Errorf("GET %s: answered %d %s, expected 200", path, status, body)
	}
	return string(body), err
}

func get(b []byte, path string) []byte {
	return append(append(append(b, "GET "...), path...), " HTTP/1.1\r\nHost: bench\r\n\r\n"...)
}
