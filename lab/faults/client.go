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
	"fleetman.example/lab/usage"
)

// State is the fault rules of a pod.
type State struct {
	Seed  uint64 `json:"seed"`
	Rules []Rule `json:"rules"`
}

// Rule is a rule and its counters.
type Rule struct {
	Rule    string `json:"rule"`    // in the grammar of FAULTS
	Matched int64  `json:"matched"` // requests that the rule matched
	Fired   int64  `json:"fired"`   // requests that the rule failed or delayed
}

// Text returns the rules in the grammar of FAULTS.
func (s State) Text() string {
	var rules []string
	for _, r := range s.Rules {
		rules = append(rules, r.Rule)
	}
	return strings.Join(rules, ";")
}

// Split returns the rules of requests, which a pod takes, and those of
// connections, which the launcher does.
func Split(rules string) (ofPod, ofConnect string) {
	var pod, connect []string
	for rule := range strings.SplitSeq(rules, ";") {
		if local.IsConnect(rule) {
			connect = append(connect, strings.TrimSpace(rule))
		} else {
			pod = append(pod, rule)
		}
	}
	return strings.Join(pod, ";"), strings.Join(connect, ";")
}

// fired returns how often the rules have fired.
func (s State) fired() (sum int) {
	for _, r := range s.Rules {
		sum += int(r.Fired)
	}
	return sum
}

// Admin returns the address of a pod's admin listener.
func Admin(pod local.Pod) string {
	return net.JoinHostPort(pod.Address, strconv.Itoa(pod.AdminPort))
}

// Client is a client of pods' admin listeners. The zero value is ready to use.
type Client struct {
	HTTP http.Client
	// Token is the bearer token for changes. Empty means that each pod's AdminTokenFile has it.
	Token string
}

// Get returns the rules of a pod.
func (c *Client) Get(ctx context.Context, pod local.Pod) (State, error) {
	return c.call(ctx, http.MethodGet, pod, "")
}

// Set replaces the rules of a pod. All counters start at 0. The error for invalid rules is the pod's own.
func (c *Client) Set(ctx context.Context, pod local.Pod, rules string) (State, error) {
	return c.call(ctx, http.MethodPut, pod, rules)
}

// Clear removes all rules of a pod.
func (c *Client) Clear(ctx context.Context, pod local.Pod) (State, error) {
	return c.call(ctx, http.MethodDelete, pod, "")
}

// token returns the bearer token of a pod, or "" when it needs none.
func (c *Client) token(pod local.Pod) (string, error) {
	if c.Token != "" || pod.AdminTokenFile == "" {
		return c.Token, nil
	}
	token, err := os.ReadFile(pod.AdminTokenFile)
	return strings.TrimSpace(string(token)), err
}

func (c *Client) call(ctx context.Context, method string, pod local.Pod, rules string) (State, error) {
	var state State
	request, err := http.NewRequestWithContext(ctx, method, "http://"+Admin(pod)+"/faults", strings.NewReader(rules))
	if err != nil {
		return state, fmt.Errorf("pod %s: %w", pod.Name, err)
	}
	token, err := c.token(pod)
	if err != nil {
		return state, fmt.Errorf("pod %s: read the admin token: %w", pod.Name, err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op
		}
		return state, fmt.Errorf("pod %s: admin listener: %w", pod.Name, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return state, fmt.Errorf("pod %s: read its faults: %w", pod.Name, err)
	}
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return state, fmt.Errorf("pod %s: it does not support faults", pod.Name)
	default:
		var refusal struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(body, &refusal) != nil || refusal.Message == "" {
			return state, fmt.Errorf("pod %s: admin listener: status %d", pod.Name, response.StatusCode)
		}
		refused := fmt.Errorf("pod %s: %s", pod.Name, refusal.Message)
		if response.StatusCode == http.StatusBadRequest { // the rules
			return state, usage.Error{Err: refused}
		}
		return state, refused
	}
	if err := json.Unmarshal(body, &state); err != nil {
		return state, fmt.Errorf("pod %s: read its faults: %w", pod.Name, err)
	}
	return state, nil
}
