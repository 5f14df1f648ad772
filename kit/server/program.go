package server

import (
	"context"
	"io"
	"net/http"
	"time"

	"fleetman.example/kit/env"
	"fleetman.example/kit/fault"
	"fleetman.example/kit/observe"
)

// Run runs a service, which is configured by getenv and logs to stdout, until ctx ends.
type Run func(ctx context.Context, getenv func(string) string, stdout io.Writer) error

// App has what a service needs to build its routes, and serves them.
type App struct {
	*observe.Observer
	Router

	// Admin has further handlers of the admin listener.
	Admin *http.ServeMux

	// Now is time.Now.
	Now func() time.Time

	config Config
	faults *fault.Set
}

// NewApp returns an App without routes.
func NewApp(cfg Config, o *observe.Observer) *App {
	a := &App{Observer: o, Admin: http.NewServeMux(), Now: time.Now, config: cfg}
	a.faults = fault.NewSet(cfg.FaultsSeed, cfg.Faults, a.Now)
	a.Router = a.newRouter()
	return a
}

// Configured is a service's configuration: a struct that embeds Config.
type Configured interface{ common() Config }

func (cfg Config) common() Config { return cfg }

// Program returns the service called name. It reads the configuration with read, sets up telemetry, and
// calls serve, which builds the service and runs it with App.Serve.
func Program[C Configured](name string, read func(*env.Reader) C, serve func(context.Context, C, *App) error) Run {
	return func(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
		r := env.New(getenv)
		cfg := read(r)
		if err := r.Err(); err != nil {
			return err
		}
		o, err := observe.Start(ctx, name, getenv, stdout)
		if err != nil {
			return err
		}
		defer o.Flush(ctx)
		o.Log.InfoContext(ctx, "configuration", "env", r)
		return serve(ctx, cfg, NewApp(cfg.common(), o))
	}
}
