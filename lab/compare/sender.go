package compare

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"fleetman.example/lab/experiment"
)

// sender sends the requests of the load: the streams in turn, by their shares,
// and each for one vehicle after the other.
type sender struct {
	client   http.Client
	host     string
	streams  []experiment.Stream
	vehicles []string
	turns    []turn
}

// turn is one request of a cycle: a stream, and which of its requests it is.
type turn struct{ stream, nth int }

func newSender(l experiment.Load, to target, vehicles []string) *sender {
	return &sender{
		client: http.Client{
			Timeout:       time.Duration(l.Timeout),
			Transport:     &http.Transport{MaxIdleConnsPerHost: l.MaxInFlight, DisableCompression: true, DialContext: to.dial},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		host: to.host, streams: l.Streams, vehicles: vehicles, turns: turns(l.Streams),
	}
}

// turns is a cycle in which each stream has its share, as evenly as possible:
// the next one is the one that is furthest behind.
func turns(streams []experiment.Stream) (cycle []turn) {
	all := 0
	for _, s := range streams {
		all += s.Share
	}
	sent := make([]int, len(streams))
	for n := 1; n <= all; n++ {
		next := 0
		for i, s := range streams {
			if s.Share*n-sent[i]*all > streams[next].Share*n-sent[next]*all {
				next = i
			}
		}
		cycle = append(cycle, turn{next, sent[next]})
		sent[next]++
	}
	return cycle
}

// request returns the stream, the vehicle and the path of request n.
func (s *sender) request(n int) (stream experiment.Stream, vehicle, path string) {
	t := s.turns[n%len(s.turns)]
	stream = s.streams[t.stream]
	if !strings.Contains(stream.Path, experiment.Vehicle) {
		return stream, "", stream.Path
	}
	vehicle = s.vehicles[(n/len(s.turns)*stream.Share+t.nth)%len(s.vehicles)]
	return stream, vehicle, strings.ReplaceAll(stream.Path, experiment.Vehicle, url.PathEscape(vehicle))
}

// outcome is how a request ended.
type outcome struct {
	route, vehicle    string
	status            int
	degraded, failure string
	fault, origin     string
}

func (s *sender) send(ctx context.Context, n int) (o outcome) {
	stream, vehicle, path := s.request(n)
	o.route, o.vehicle = stream.Name, vehicle
	request, err := http.NewRequestWithContext(ctx, stream.Method, "http://"+s.host+path, strings.NewReader(stream.Body))
	if err != nil {
		o.failure = err.Error()
		return o
	}
	for name, value := range stream.Headers {
		request.Header.Set(name, value)
	}
	request.Header.Set(checkHeader, checkName(n))
	response, err := s.client.Do(request)
	if err != nil {
		o.failure = reason(err)
		return o
	}
	defer response.Body.Close()
	header := response.Header
	o.status, o.degraded, o.fault, o.origin = response.StatusCode, header.Get("X-Fallback"), header.Get("X-Fault"), header.Get("X-Error-Origin")
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	switch {
	case err != nil:
		o.failure = reason(err)
	case o.status != http.StatusOK:
		o.failure = message(body)
	}
	return o
}

// message returns the message of an error answer, as the contract has it.
func message(body []byte) string {
	var answer struct{ Message string }
	if json.Unmarshal(body, &answer) != nil || answer.Message == "" {
		return "an error without a message"
	}
	return answer.Message
}

// reason returns in a few words why there is no answer.
func reason(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "given up"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "connection closed"
	}
	return "no answer"
}
