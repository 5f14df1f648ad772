package main

import (
	"context"
	"io"
	"os"
	"time"

	"fleetman.example/kit/observe"
	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

const service = "api-gateway"

func main() { os.Exit(server.Main(run)) }

// run is the whole program; it returns when ctx ends and every accepted request is answered.
func run(ctx context.Context, _ []string, getenv func(string) string, stdout, _ io.Writer) (err error) {
	cfg, err := readConfig(getenv)
	if err != nil {
		return err
	}
	o, err := observe.Start(ctx, service, getenv, stdout)
	if err != nil {
		return err
	}
	defer o.Flush(ctx)
	o.Log.InfoContext(ctx, "configuration", "env", cfg.effective)
	api := api{
		tracker: upstream.NewWithFallback("position-tracker", cfg.tracker, cfg.upstream, o, noVehicles),
		staff:   upstream.NewWithFallback("staff-service", cfg.staff, cfg.upstream, o, someDriver),
		now:     time.Now,
	}
	return server.Run(ctx, cfg.Server, o, api.routes(server.NewRouter(cfg.Server, o)))
}
