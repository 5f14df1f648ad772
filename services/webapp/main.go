package main

import (
	"context"
	"embed"
	"io"
	"io/fs"
	"os"

	"fleetman.example/kit/observe"
	"fleetman.example/kit/server"
)

const service = "webapp"

// The page as `make ui` built it; in a fresh clone there is only a placeholder.
//
//go:embed all:ui/dist
var built embed.FS

func main() { os.Exit(server.Main(run)) }

// run is the whole program; it returns when ctx ends and every accepted request is answered.
func run(ctx context.Context, _ []string, getenv func(string) string, stdout, _ io.Writer) (err error) {
	cfg, err := readConfig(getenv)
	if err != nil {
		return err
	}
	dist, err := fs.Sub(built, "ui/dist")
	if err != nil {
		return err
	}
	page, err := newPage(dist, cfg.Variant, cfg.PhotoOrigins)
	if err != nil {
		return err
	}
	o, err := observe.Start(ctx, service, getenv, stdout)
	if err != nil {
		return err
	}
	defer o.Flush(ctx)
	o.Log.InfoContext(ctx, "configuration", "env", cfg.effective)
	api := api{page: page, gateway: newForwarder(cfg, o)}
	return server.Run(ctx, cfg.Server, o, api.routes(server.NewRouter(cfg.Server, o)))
}
