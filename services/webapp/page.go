package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"fleetman.example/kit/apierror"
)

const (
	index  = "index.html"
	assets = "/assets/" // the file names contain a hash of the content
)

// titles has the page's title of each variant. index.html is built with the standard one.
var titles = map[string]string{
	standard:     "Fleet Management",
	experimental: "Fleet Management Istio Premium Enterprise Edition",
}

// page serves the built user interface: the files by path, and index.html for all other paths.
type page struct {
	files  map[string]file
	index  file
	policy string // Content-Security-Policy
}

type file struct {
	name    string
	body    []byte
	etag    string // without quotes
	zipped  func() []byte
	forever bool // the content of a file with this name never changes
}

// newPage reads the files that `make ui` built and writes the variant into index.html.
func newPage(dist fs.FS, variant string, photoOrigins []string) (*page, error) {
	p := &page{files: make(map[string]file), policy: policy(photoOrigins)}
	err := fs.WalkDir(dist, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
			return err
		}
		body, err := fs.ReadFile(dist, name)
		if err != nil {
			return err
		}
		p.files["/"+name] = newFile("/"+name, body)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read page: %w", err)
	}
	plain, ok := p.files["/"+index]
	if !ok {
		return nil, errors.New("page: not built: run `make ui`")
	}
	body, err := asVariant(plain.body, variant)
	if err != nil {
		return nil, err
	}
	p.index = newFile("/"+index, body)
	p.files["/"+index] = p.index
	return p, nil
}

func newFile(name string, body []byte) file {
	sum := sha256.Sum256(body)
	return file{
		name: name, body: body, etag: hex.EncodeToString(sum[:8]),
		zipped:  sync.OnceValue(func() []byte { return zip(name, body) }), // when first used, so as not to delay the start
		forever: strings.HasPrefix(name, assets),
	}
}

// asVariant returns index.html with the variant's title, and with the attribute by which the style sheet
// colours the header. The server does this, so that curl shows the variant too.
func asVariant(body []byte, variant string) ([]byte, error) {
	for from, to := range map[string]string{
		"<title>" + titles[standard] + "</title>": "<title>" + titles[variant] + "</title>",
		`data-variant="` + standard + `"`:         `data-variant="` + variant + `"`,
	} {
		if bytes.Count(body, []byte(from)) != 1 {
			return nil, fmt.Errorf("%s: must have %s once", index, from)
		}
		body = bytes.Replace(body, []byte(from), []byte(to), 1)
	}
	return body, nil
}

func policy(photoOrigins []string) string {
	photos := strings.Join(append([]string{"img-src 'self' data:"}, photoOrigins...), " ")
	return "default-src 'self'; " + photos + "; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
}

func (p *page) serve(c *gin.Context) {
	if c.Request.Method != http.MethodGet && c.Request.Method != http.MethodHead {
		c.Header("Allow", "GET, HEAD")
		apierror.Write(c, apierror.New(http.StatusMethodNotAllowed, "method %s not supported here", c.Request.Method))
		return
	}
	name := c.Request.URL.Path
	f, ok := p.files[name]
	if !ok && (strings.HasPrefix(name, assets) || name == path.Clean(assets)) {
		apierror.Write(c, apierror.New(http.StatusNotFound, "no such file"))
		return
	}
	if !ok {
		f = p.index
	}
	h := c.Writer.Header()
	h.Set("Content-Security-Policy", p.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	if f.forever {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	f.serve(c.Writer, c.Request)
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", contentType(f.name))
	h.Add("Vary", "Accept-Encoding")
	body, etag := f.body, f.etag
	if acceptsGzip(r.Header.Values("Accept-Encoding")) {
		if zipped := f.zipped(); zipped != nil {
			h.Set("Content-Encoding", "gzip")
			body, etag = zipped, etag+"-gz"
		}
	}
	h.Set("Etag", `"`+etag+`"`)
	http.ServeContent(w, r, f.name, time.Time{}, bytes.NewReader(body))
}

// contentTypes has the type of each kind of file. Package mime uses tables that differ between machines.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".svg": "image/svg+xml", ".png": "image/png", ".json": "application/json",
}

func contentType(name string) string {
	return cmp.Or(contentTypes[path.Ext(name)], "application/octet-stream")
}

// zip returns the compressed body, or nil if it would not be smaller.
func zip(name string, body []byte) []byte {
	if path.Ext(name) == ".png" {
		return nil
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(body)
	if err = errors.Join(err, w.Close()); err != nil || b.Len() >= len(body) {
		return nil
	}
	return b.Bytes()
}

// acceptsGzip reports whether Accept-Encoding names gzip with a weight above 0.
func acceptsGzip(values []string) bool {
	for encoding := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, params, err := mime.ParseMediaType(strings.TrimSpace(encoding))
		if err != nil || name != "gzip" {
			continue
		}
		weight, err := strconv.ParseFloat(params["q"], 64)
		return err != nil || weight > 0
	}
	return false
}
