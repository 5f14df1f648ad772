package compare

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"fleetman.example/lab/record"
)

// patience is how long a caller waits for the whole answer: a user of a page
// gives up by then.
const patience = 10 * time.Second

// sender sends the requests of the load, one vehicle after the other: at the
// gateway who drives it, at the page all positions and that in turn.
type sender struct {
	client   http.Client
	base     string
	page     bool
	vehicles []string
}

func newSender(target string, address netip.AddrPort, vehicles []string) *sender {
	return &sender{
		client: http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: maxInFlight, DisableCompression: true}},
		base:   "http://" + address.String(), page: target == Page, vehicles: vehicles,
	}
}

// request returns the path of request n.
func (s *sender) request(n int) (route, vehicle, path string) {
	if !s.page {
		vehicle = s.vehicles[n%len(s.vehicles)]
		return record.RouteDriver, vehicle, "/vehicles/driver/" + url.PathEscape(vehicle)
	}
	if n%2 == 0 {
		return record.RoutePositions, "", "/api/vehicles/"
	}
	vehicle = s.vehicles[n/2%len(s.vehicles)]
	return record.RouteDriver, vehicle, "/api/vehicles/driver/" + url.PathEscape(vehicle)
}

// outcome is how a request ended.
type outcome struct {
	route, vehicle    string
	status            int
	degraded, failure string
	fault, origin     string
}

func (s *sender) send(ctx context.Context, n int) (o outcome) {
	var path string
	o.route, o.vehicle, path = s.request(n)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path, nil)
	if err != nil {
		o.failure = err.Error()
		return o
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
