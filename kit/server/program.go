package server

import (
	"context"
	"io"
	"net/http"
	"time"

	"fleetman.example/kit/env"
	"fleetman.example/kit/observe"
)

// App has what a service needs to build its routes.
type App struct {
	*observe.Observer
	Router

	// Admin has further handlers of the admin listener, by http.ServeMux pattern.
	Admin map[string]http.Handler

	// Now is time.Now.
	Now func() time.Time
}

// Configured is a service's configuration: a struct that embeds Config.
type Configured interface{ common() Config }

func (cfg Config) common() Config { return cfg }

// Program returns the function for Main that runs the service called name. The function reads the
// configuration with read, sets up telemetry, and serves the handler that routes returns until ctx ends
// and every accepted request is answered.
func Program[C Configured](name string, read func(*env.Reader) C, routes func(C, App) (http.Handler, error)) func(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	return func(ctx context.Context, _ []string, getenv func(string) string, stdout, _ io.Writer) error {
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
		common := cfg.common()
		handler, err := routes(cfg, App{Observer: o, Router: NewRouter(common, o), Admin: common.Admin, Now: time.Now})
		if err != nil {
			return err
		}
		return Run(ctx, common, o, handler)
	}
}
