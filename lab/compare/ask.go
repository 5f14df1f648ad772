package compare

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/record"
)

// get reads JSON; found is false when the path is not known there.
func (c *cell) get(ctx context.Context, url string, into any) (found bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, err
	}
	response, err := c.client.HTTP.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	switch {
	case err != nil:
		return false, fmt.Errorf("reading %s: %w", url, err)
	case response.StatusCode == http.StatusNotFound:
		return false, nil
	case response.StatusCode != http.StatusOK:
		return false, fmt.Errorf("reading %s: status %d", url, response.StatusCode)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return false, fmt.Errorf("reading %s: %w", url, err)
	}
	return true, nil
}

// position is the contract's, as far as it is of interest here.
type position struct {
	Name      string `json:"name"`
	Timestamp string `json:"timestamp"`
}

// vehicleCount is the published fleet.
const vehicleCount = 5

// awaitVehicles waits until every vehicle has reported.
func (c *cell) awaitVehicles(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Second, fmt.Errorf("the %d vehicles do not report", vehicleCount))
	defer cancel()
	tracker, err := c.tracker()
	if err != nil {
		return nil, err
	}
	for {
		var latest []position
		if _, err := c.get(ctx, tracker+"/vehicles/", &latest); err != nil && ctx.Err() == nil {
			return nil, err
		}
		if len(latest) == vehicleCount {
			var names []string
			for _, p := range latest {
				names = append(names, p.Name)
			}
			return names, nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (c *cell) tracker() (string, error) {
	pods, err := faults.Find(c.fleet.Pods(), "position-tracker")
	if err != nil {
		return "", err
	}
	return "http://" + net.JoinHostPort(pods[0].Address, strconv.Itoa(pods[0].Port)), nil
}

// positions reads from the tracker when each report was received.
func (c *cell) positions(ctx context.Context, vehicles []string) error {
	tracker, err := c.tracker()
	if err != nil {
		return err
	}
	for _, vehicle := range vehicles {
		var history []position
		if _, err := c.get(ctx, tracker+"/history/"+url.PathEscape(vehicle), &history); err != nil {
			return err
		}
		for i := len(history) - 1; i >= 0; i-- { // newest first
			received, err := time.Parse("2006-01-02T15:04:05.000-0700", history[i].Timestamp)
			if err != nil {
				return fmt.Errorf("history of %s: timestamp: %w", vehicle, err)
			}
			if at := record.Moment(received.Sub(c.began)); at >= 0 && at <= c.seen.End {
				c.seen.Positions = append(c.seen.Positions, record.Position{At: at, Vehicle: vehicle})
			}
		}
	}
	return nil
}

// breakers notes the changes of a pod's breakers. A pod that is away, or has
// none, says nothing.
func (c *cell) breakers(ctx context.Context, pod local.Pod) error {
	var state struct {
		Transitions []struct {
			Time                          time.Time
			Upstream, Endpoint, To, Cause string
		}
	}
	found, err := c.get(ctx, "http://"+faults.Admin(pod)+"/resilience", &state)
	if err != nil && pod.Deployment != victim || !found {
		return err
	}
	for _, t := range state.Transitions {
		whole := t.Upstream
		if t.Endpoint != "" {
			whole += " at " + t.Endpoint
		}
		c.noteAt(t.Time, pod.Name, "breaker "+t.To, whole+": "+t.Cause)
	}
	return nil
}
