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
)

// patience is how long a caller waits for the whole answer: one who looks at
// a page has given up by then.
const patience = 10 * time.Second

// sender asks the gateway who drives a vehicle, one vehicle after the other.
type sender struct {
	client   http.Client
	gateway  string
	vehicles []string
}

func newSender(door netip.AddrPort, vehicles []string) *sender {
	return &sender{
		client:  http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: maxInFlight, DisableCompression: true}},
		gateway: "http://" + door.String(), vehicles: vehicles,
	}
}

// outcome is what became of a request.
type outcome struct {
	vehicle           string
	status            int
	degraded, failure string
	fault             string
}

func (s *sender) send(ctx context.Context, n int) outcome {
	o := outcome{vehicle: s.vehicles[n%len(s.vehicles)]}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.gateway+"/vehicles/driver/"+url.PathEscape(o.vehicle), nil)
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
	o.status, o.degraded, o.fault = response.StatusCode, response.Header.Get("X-Fallback"), response.Header.Get("X-Fault")
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	switch {
	case err != nil:
		o.failure = reason(err)
	case o.status != http.StatusOK:
		o.failure = message(body)
	}
	return o
}

// message is the contract's of an error.
func message(body []byte) string {
	var said struct{ Message string }
	if json.Unmarshal(body, &said) != nil || said.Message == "" {
		return "an error without a message"
	}
	return said.Message
}

// reason says in a few words why there is no answer.
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
