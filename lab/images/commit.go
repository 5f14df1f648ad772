package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// commit is the commit that is built.
type commit struct {
	revision string // with -dirty when tracked files differ from it
	time     time.Time
}

func readCommit(ctx context.Context, root string) (commit, error) {
	git := func(args ...string) (string, error) {
		out, err := output(exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...))
		return strings.TrimSpace(out), err
	}
	revision, err := git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
	if err != nil {
		return commit{}, fmt.Errorf("which commit is built: %w", err)
	}
	seconds, err := git("log", "-1", "--format=%ct")
	if err != nil {
		return commit{}, fmt.Errorf("the time of %s: %w", revision, err)
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return commit{}, fmt.Errorf("the time of %s: %w", revision, err)
	}
	return commit{revision, time.Unix(unix, 0).UTC()}, nil
}

// output runs c and returns its standard output. An error contains its standard error.
func output(c *exec.Cmd) (string, error) {
	var stderr strings.Builder
	if c.Stderr == nil {
		c.Stderr = &stderr
	}
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(c.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
