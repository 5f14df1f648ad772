package cluster

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"fleetman.example/lab/local"
	"fleetman.example/lab/scrape"
)

// remember makes the addresses of pods known to Dial.
func (c *Client) remember(pods []local.Pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.addresses == nil {
		c.addresses = map[string]local.Pod{}
	}
	for _, pod := range pods {
		if prefix, _, ok := strings.Cut(pod.Image, ownImages); ok && c.images == "" {
			c.images = prefix // that of up's --images
		}
		if pod.Address != "" {
			c.addresses[pod.Address] = pod
		}
		c.addresses[pod.Name] = pod
	}
}

// Dial connects to the address of a pod, or to POD:PORT, by port-forward.
func (c *Client) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	c.mu.Lock()
	pod, known := c.addresses[host]
	c.mu.Unlock()
	if !known {
		return nil, fmt.Errorf("%s: must be the address of a pod of the fleet", address)
	}
	return c.DialPod(ctx, pod.Namespace, pod.Name, port)
}

// dialer returns a function that connects to a port of a pod, whatever the address is.
func (c *Client) dialer(namespace, pod string, port int) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return c.DialPod(ctx, namespace, pod, port) }
}

// get returns the status and the body of the response of a port of a pod.
func (c *Client) get(ctx context.Context, namespace, pod string, port int, path string) (int, []byte, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: c.dialer(namespace, pod, port)}}
	return scrape.Body(ctx, &client, "http://"+pod+path)
}

// podTransport returns a transport to pods.
func (c *Client) podTransport() *http.Transport {
	return &http.Transport{DialContext: c.Dial, MaxIdleConnsPerHost: 2, IdleConnTimeout: 10 * time.Second}
}
