package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"fleetman.example/lab/local"
)

// State is the rules in force in one pod.
type State struct {
	Seed  uint64 `json:"seed"`
	Rules []Rule `json:"rules"`
}

// Rule is one rule, as it was written, and how often it matched a request and
// fired.
type Rule struct {
	Rule    string `json:"rule"`
	Matched int64  `json:"matched"`
	Fired   int64  `json:"fired"`
}

// Text is the rules as they are set.
func (s State) Text() string {
	var rules []string
	for _, r := range s.Rules {
		rules = append(rules, r.Rule)
	}
	return strings.Join(rules, ";")
}

// fired is how often the rules have fired.
func (s State) fired() (sum int) {
	for _, r := range s.Rules {
		sum += int(r.Fired)
	}
	return sum
}

// Admin is where a pod's admin listener is.
func Admin(pod local.Pod) string {
	return net.JoinHostPort(pod.Address, strconv.Itoa(pod.AdminPort))
}

// Client asks pods. The zero value is ready to use.
type Client struct{ HTTP http.Client }

// Get reads the rules of a pod.
func (c *Client) Get(ctx context.Context, pod local.Pod) (State, error) {
	return c.call(ctx, http.MethodGet, pod, "")
}

// Set puts rules in force instead of those that are; all counts begin at 0.
// The pod's own words are the error for rules that it does not understand.
func (c *Client) Set(ctx context.Context, pod local.Pod, rules string) (State, error) {
	return c.call(ctx, http.MethodPut, pod, rules)
}

// Clear ends all faults of a pod.
func (c *Client) Clear(ctx context.Context, pod local.Pod) (State, error) {
	return c.call(ctx, http.MethodDelete, pod, "")
}

func (c *Client) call(ctx context.Context, method string, pod local.Pod, rules string) (State, error) {
	var state State
	request, err := http.NewRequestWithContext(ctx, method, "http://"+Admin(pod)+"/faults", strings.NewReader(rules))
	if err != nil {
		return state, fmt.Errorf("pod %s: %w", pod.Name, err)
	}
	if pod.AdminTokenFile != "" {
		token, err := os.ReadFile(pod.AdminTokenFile)
		if err != nil {
			return state, fmt.Errorf("pod %s: its admin listener's token: %w", pod.Name, err)
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op
		}
		return state, fmt.Errorf("pod %s: its admin listener does not answer: %w", pod.Name, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return state, fmt.Errorf("pod %s: reading its faults: %w", pod.Name, err)
	}
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return state, fmt.Errorf("pod %s: it takes no faults", pod.Name)
	default:
		var said struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(body, &said) != nil || said.Message == "" {
			return state, fmt.Errorf("pod %s: its faults: status %d", pod.Name, response.StatusCode)
		}
		return state, fmt.Errorf("pod %s: %s", pod.Name, said.Message)
	}
	if err := json.Unmarshal(body, &state); err != nil {
		return state, fmt.Errorf("pod %s: reading its faults: %w", pod.Name, err)
	}
	return state, nil
}
