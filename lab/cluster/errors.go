package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
)

// denied is the API server's message about a missing permission, in contrast to a refusal by a quota or an
// admission policy, which has the same status.
var denied = regexp.MustCompile(`User "([^"]*)" cannot ([a-z]+) resource "([^"]*)" in API group "([^"]*)"(?: in the namespace "([^"]*)")?`)

// explain returns an error of the API server, or of the connection to it, as one line: what failed, and what
// must be true for it to succeed.
func (c *Client) explain(err error) error {
	if err == nil {
		return nil
	}
	var unreachable *net.OpError
	var wrapped *url.Error
	var unknown *meta.NoKindMatchError
	switch {
	case errors.Is(err, context.Canceled):
		return c.fail(err, "interrupted")
	case apierrors.IsUnauthorized(err):
		return c.fail(err, "its credentials are expired or unknown to %s: log in again, or set others with --kubeconfig", c.config.Host)
	case apierrors.IsForbidden(err):
		if match := denied.FindStringSubmatch(err.Error()); match != nil {
			return c.fail(err, "%s: must be allowed to %s; %s, with the same arguments, shows the ClusterRole", match[1], permission(match), c.command(cmp.Or(c.options.Command, "up"), "--dry-run"))
		}
		return c.fail(err, "%s", oneLine(err))
	case errors.As(err, &unknown):
		return c.fail(err, "%s %s: unknown kind: its CustomResourceDefinition must be installed", unknown.GroupKind.Group, unknown.GroupKind.Kind)
	case errors.As(err, &unreachable):
		return c.fail(err, "API server %s: %s: must be reachable", c.config.Host, oneLine(unreachable.Err))
	case errors.Is(err, context.DeadlineExceeded):
		return c.fail(err, "API server %s: no response in time: must be reachable", c.config.Host)
	case errors.As(err, &wrapped):
		return c.fail(err, "API server %s: %s", c.config.Host, oneLine(wrapped.Err))
	}
	return c.fail(err, "%s", oneLine(err))
}

// permission returns what a match of denied says, such as "create deployments.apps in namespace fleetman".
func permission(match []string) string {
	resource, sub, hasSub := strings.Cut(match[3], "/")
	text := match[2] + " " + resource
	if group := match[4]; group != "" {
		text += "." + group
	}
	if hasSub {
		text += "/" + sub
	}
	if match[5] != "" {
		text += " in namespace " + match[5]
	}
	return text
}

// apiError is an error about a cluster. It wraps the cause, so that callers can tell causes apart.
type apiError struct {
	text  string
	cause error
}

func (e *apiError) Error() string { return e.text }
func (e *apiError) Unwrap() error { return e.cause }

func (c *Client) fail(cause error, format string, args ...any) error {
	var already *apiError
	if errors.As(cause, &already) {
		return cause
	}
	return &apiError{fmt.Sprintf("cluster %s: ", c.context) + fmt.Sprintf(format, args...), cause}
}

// about adds the object or the operation to an error of the API server.
func (c *Client) about(what string, err error) error {
	if err == nil {
		return nil
	}
	explained := c.explain(err)
	prefix := fmt.Sprintf("cluster %s: ", c.context)
	return &apiError{prefix + what + ": " + strings.TrimPrefix(explained.Error(), prefix), explained}
}

// oneLine returns the text of a library's error in one line.
func oneLine(err error) string { return oneLineText(err.Error()) }
