package main

import (
	"context"
	"embed"
	"io/fs"
	"os"

	"fleetman.example/kit/server"
)

// built is the page that `make ui` builds; in a fresh clone it is only a placeholder.
//
//go:embed all:ui/dist
var built embed.FS

var run = server.Program("webapp", readConfig, serve)

func main() { os.Exit(server.Main(run)) }

func serve(ctx context.Context, cfg config, app *server.App) error {
	dist, err := fs.Sub(built, "ui/dist")
	if err != nil {
		return err
	}
	page, err := newPage(dist, cfg.variant, cfg.photoOrigins)
	if err != nil {
		return err
	}
	return app.Serve(ctx, api{page: page, gateway: newForwarder(cfg, app)}.routes(app.Router))
}
