package loader

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fleetman.example/lab/experiment"
)

// Sender sends the requests of the load: the streams in turn, by their shares,
// and each for one vehicle after the other.
type Sender struct {
	client *http.Client
	plan   Plan
	turns  []turn
}

// turn is one request of a cycle: a stream, and which of its requests it is.
type turn struct{ stream, nth int }

// NewSender returns a sender of the requests of a plan: of their host, streams, names and check.
func NewSender(client *http.Client, p Plan) *Sender {
	return &Sender{client, p, turns(p.Streams)}
}

func (p Plan) client(dial Dial) *http.Client {
	to := cmp.Or(p.Address, p.Host)
	return &http.Client{
		Timeout: time.Duration(p.Timeout),
		Transport: &http.Transport{MaxIdleConnsPerHost: p.MaxInFlight, DisableCompression: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dial(ctx, network, to)
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
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
func (s *Sender) request(n int) (stream experiment.Stream, vehicle, path string) {
	t := s.turns[n%len(s.turns)]
	stream = s.plan.Streams[t.stream]
	if !strings.Contains(stream.Path, experiment.Vehicle) {
		return stream, "", stream.Path
	}
	vehicle = s.plan.Names[(n/len(s.turns)*stream.Share+t.nth)%len(s.plan.Names)]
	return stream, vehicle, strings.ReplaceAll(stream.Path, experiment.Vehicle, url.PathEscape(vehicle))
}

// Outcome is how a request ended.
type Outcome struct {
	Route    string `json:"route"`
	Vehicle  string `json:"vehicle,omitempty"`
	Status   int    `json:"status"` // 0: no answer
	Degraded string `json:"degraded,omitempty"`
	Failure  string `json:"failure,omitempty"`
	Fault    string `json:"fault,omitempty"`
	Origin   string `json:"origin,omitempty"`
}

// checkHeader names a request of the load in the proxies' access logs.
const checkHeader = "X-Fleetman-Check"

// Send sends request n, and returns how it ended.
func (s *Sender) Send(ctx context.Context, n int) (o Outcome) {
	stream, vehicle, path := s.request(n)
	o.Route, o.Vehicle = stream.Name, vehicle
	request, err := http.NewRequestWithContext(ctx, stream.Method, "http://"+s.plan.Host+path, strings.NewReader(stream.Body))
	if err != nil {
		o.Failure = err.Error()
		return o
	}
	for name, value := range stream.Headers {
		if request.Header.Set(name, value); http.CanonicalHeaderKey(name) == "Host" {
			request.Host = value // net/http sends no other
		}
	}
	if s.plan.Check != "" {
		request.Header.Set(checkHeader, CheckName(s.plan.Check, n))
	}
	response, err := s.client.Do(request)
	if err != nil {
		o.Failure = reason(err)
		return o
	}
	defer response.Body.Close()
	header := response.Header
	o.Status, o.Degraded, o.Fault, o.Origin = response.StatusCode, header.Get("X-Fallback"), header.Get("X-Fault"), header.Get("X-Error-Origin")
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	switch {
	case err != nil:
		o.Failure = reason(err)
	case o.Status/100 != 2:
		o.Failure = message(body)
	}
	return o
}

// CheckName is the name of a request in access logs.
func CheckName(check string, n int) string { return check + strconv.Itoa(n) }

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
