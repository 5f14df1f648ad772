//go:build ignore

// Command draw draws the drivers' portraits: go run draw.go, in this directory.
package main

import (
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"os"
)

const (
	size = 256 // pixels; the shapes below are in the same units
	fine = 4   // samples per pixel in each direction, for smooth edges
)

func main() {
	for name, draw := range map[string]func(*portrait){
		"1.jpg": pam, "2.jpg": duke, "3.jpg": denzil, "4.jpg": herman, "5.jpg": june, "placeholder.png": nobody,
	} {
		p := &portrait{image.NewRGBA(image.Rect(0, 0, size, size))}
		draw(p)
		if err := p.save(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func pam(p *portrait) {
	hair, skin := rgb(0x8c3b1f), rgb(0xf2c9a5)
	p.fill(everywhere, rgb(0xbfe3dc))
	p.fill(oval(128, 118, 74, 80), hair)
	p.fill(box(54, 118, 202, 190, 26), hair)
	p.body(rgb(0x2f7d5b), skin)
	p.head(skin)
	p.fill(and(oval(128, 96, 58, 52), not(oval(150, 134, 62, 58))), hair)
	p.face(rgb(0x3c2a20), rgb(0xc8505a))
	p.cheeks(rgb(0xe9a68c))
	p.fill(and(oval(128, 212, 26, 18), below(206)), rgb(0xf7f3e8))
}

func duke(p *portrait) {
	fur, dark, light := rgb(0xb97a45), rgb(0x7a4a25), rgb(0xf0dcc0)
	p.fill(everywhere, rgb(0xf7dd9b))
	p.fill(oval(128, 268, 84, 84), fur)
	p.fill(oval(128, 258, 40, 60), light)
	p.fill(and(oval(128, 184, 46, 30), below(186)), rgb(0xc62f2f))
	p.fill(oval(128, 222, 12, 12), rgb(0xf2c230))
	p.fill(oval(128, 112, 64, 68), fur)
	p.fill(turned(oval(60, 122, 22, 54), 60, 122, 14), dark)
	p.fill(turned(oval(196, 122, 22, 54), 196, 122, -14), dark)
	p.fill(and(oval(128, 84, 13, 52), oval(128, 112, 64, 68)), light)
	p.fill(oval(128, 146, 42, 36), light)
	p.fill(and(oval(128, 176, 13, 26), below(164)), rgb(0xe8707a))
	p.fill(oval(128, 128, 17, 12), rgb(0x2a1c14))
	p.fill(oval(123, 124, 5, 3), rgb(0x6b5a50))
	p.fill(stroke(oval(112, 152, 17, 14), 2.2, 154), rgb(0x4a2e1a))
	p.fill(stroke(oval(144, 152, 17, 14), 2.2, 154), rgb(0x4a2e1a))
	for _, x := range []float64{100, 156} {
		p.fill(oval(x, 98, 9, 11), rgb(0x2a1c14))
		p.fill(oval(x+3, 94, 3, 3.5), rgb(0xffffff))
	}
}

func denzil(p *portrait) {
	hair, skin := rgb(0x1d1715), rgb(0x8d5a3b)
	p.fill(everywhere, rgb(0xcfd8f3))
	p.fill(oval(128, 96, 60, 58), hair)
	p.body(rgb(0x2c3e66), skin)
	p.fill(and(box(62, 200, 92, 256, 0), oval(128, 276, 96, 82)), rgb(0xf58a1f))
	p.fill(and(box(164, 200, 194, 256, 0), oval(128, 276, 96, 82)), rgb(0xf58a1f))
	p.head(skin)
	p.fill(and(oval(128, 94, 56, 54), not(oval(128, 128, 58, 58))), hair)
	p.face(rgb(0x1d1715), rgb(0x6b2f2a))
	p.fill(and(oval(128, 148, 24, 10), not(below(149))), hair)
}

func herman(p *portrait) {
	hair, skin := rgb(0xd9d9d6), rgb(0xeebd9b)
	p.fill(everywhere, rgb(0xf3cfc2))
	p.fill(oval(128, 124, 62, 52), hair)
	p.body(rgb(0x6b4a2f), skin)
	p.fill(poly(112, 204, 144, 204, 134, 222, 139, 256, 117, 256, 122, 222), rgb(0x8c1f2c))
	p.head(skin)
	p.fill(and(oval(128, 78, 62, 40), not(below(92))), rgb(0x59636b))
	p.fill(oval(120, 92, 72, 9), rgb(0x454e55))
	p.face(rgb(0x3d342d), rgb(0xb05a52))
	for _, x := range []float64{106, 150} {
		p.fill(and(oval(x, 118, 19, 17), not(oval(x, 118, 16, 14))), rgb(0x2b2b2b))
	}
	p.fill(box(124, 114, 132, 117, 0), rgb(0x2b2b2b))
	p.fill(turned(oval(113, 150, 19, 8), 113, 150, -12), hair)
	p.fill(turned(oval(143, 150, 19, 8), 143, 150, 12), hair)
}

func june(p *portrait) {
	hair, skin := rgb(0xe2b857), rgb(0xf6d3b5)
	p.fill(everywhere, rgb(0xe0cdee))
	p.fill(oval(128, 40, 34, 30), hair)
	for i := range 13 {
		angle := math.Pi * (0.86 + 1.28*float64(i)/12)
		p.fill(oval(128+58*math.Cos(angle), 116+60*math.Sin(angle), 24, 24), hair)
	}
	p.body(rgb(0x6a3d9a), skin)
	p.head(skin)
	p.fill(and(oval(128, 92, 56, 44), not(oval(104, 136, 72, 60))), hair)
	p.face(rgb(0x2e5a7d), rgb(0xd02f5a))
	p.cheeks(rgb(0xf0ac9c))
	for _, x := range []float64{73, 183} {
		p.fill(oval(x, 150, 6, 6), rgb(0xf2c230))
	}
	for i := range 7 {
		x := float64(i-3) * 11
		p.fill(oval(128+x, 214-x*x/90, 5, 5), rgb(0xfff8f0))
	}
}

func nobody(p *portrait) {
	p.fill(everywhere, rgb(0xe3e6ea))
	p.fill(oval(128, 276, 92, 88), rgb(0xaab2bc))
	p.fill(oval(128, 110, 52, 60), rgb(0xaab2bc))
}

// Parts of all people.

func (p *portrait) body(shirt, skin color.RGBA) {
	p.fill(oval(128, 276, 96, 82), shirt)
	p.fill(box(106, 156, 150, 210, 18), shade(skin))
	p.fill(oval(128, 204, 30, 16), shade(skin))
}

func (p *portrait) head(skin color.RGBA) {
	p.fill(oval(75, 124, 10, 15), shade(skin))
	p.fill(oval(181, 124, 10, 15), shade(skin))
	p.fill(oval(128, 120, 53, 63), skin)
}

func (p *portrait) face(eyes, mouth color.RGBA) {
	for _, x := range []float64{106, 150} {
		p.fill(oval(x, 118, 6.5, 7.5), eyes)
		p.fill(oval(x+2, 115, 2, 2.4), rgb(0xffffff))
		p.fill(turned(box(x-11, 98, x+11, 102, 2), x, 100, (x-128)/6), shade(eyes))
	}
	p.fill(stroke(oval(128, 134, 8, 7), 2, 135), color.RGBA{0, 0, 0, 70})
	p.fill(and(oval(128, 150, 22, 17), below(153)), mouth)
	p.fill(and(oval(128, 150, 17, 9), below(153)), rgb(0xffffff))
}

func (p *portrait) cheeks(c color.RGBA) {
	p.fill(oval(92, 140, 10, 8), c)
	p.fill(oval(164, 140, 10, 8), c)
}

// Shapes.

type shape func(x, y float64) bool

func everywhere(_, _ float64) bool { return true }

func oval(cx, cy, rx, ry float64) shape {
	return func(x, y float64) bool { return math.Hypot((x-cx)/rx, (y-cy)/ry) <= 1 }
}

func box(left, top, right, bottom, round float64) shape {
	return func(x, y float64) bool {
		dx := max(left+round-x, x-right+round, 0)
		dy := max(top+round-y, y-bottom+round, 0)
		if round == 0 {
			return dx == 0 && dy == 0
		}
		return math.Hypot(dx, dy) <= round
	}
}

// poly is the inside of a polygon given as x0, y0, x1, y1, …
func poly(xy ...float64) shape {
	return func(x, y float64) bool {
		in := false
		for i, j := 0, len(xy)-2; i < len(xy); i, j = i+2, i {
			ax, ay, bx, by := xy[i], xy[i+1], xy[j], xy[j+1]
			if (ay > y) != (by > y) && x < (bx-ax)*(y-ay)/(by-ay)+ax {
				in = !in
			}
		}
		return in
	}
}

func below(line float64) shape { return func(_, y float64) bool { return y >= line } }
func not(s shape) shape        { return func(x, y float64) bool { return !s(x, y) } }
func and(a, b shape) shape     { return func(x, y float64) bool { return a(x, y) && b(x, y) } }

// stroke is the line of half width w along the lower edge of s, under the height line.
func stroke(s shape, w, line float64) shape {
	return func(x, y float64) bool {
		return y >= line && s(x, y-w) && !s(x, y+w)
	}
}

// turned is s turned clockwise around a point.
func turned(s shape, cx, cy, degrees float64) shape {
	sin, cos := math.Sincos(-degrees * math.Pi / 180)
	return func(x, y float64) bool {
		dx, dy := x-cx, y-cy
		return s(cx+dx*cos-dy*sin, cy+dx*sin+dy*cos)
	}
}

// Paint.

type portrait struct{ *image.RGBA }

func (p *portrait) fill(s shape, c color.RGBA) {
	for py := range size {
		for px := range size {
			hits := 0
			for i := range fine * fine {
				x := float64(px) + (float64(i%fine)+0.5)/fine
				y := float64(py) + (float64(i/fine)+0.5)/fine
				if s(x, y) {
					hits++
				}
			}
			if hits == 0 {
				continue
			}
			share := float64(hits) / (fine * fine) * float64(c.A) / 255
			old := p.RGBAAt(px, py)
			mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a)*(1-share) + float64(b)*share)) }
			p.SetRGBA(px, py, color.RGBA{mix(old.R, c.R), mix(old.G, c.G), mix(old.B, c.B), 255})
		}
	}
}

func (p *portrait) save(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if name == "placeholder.png" {
		err = png.Encode(f, p)
	} else {
		err = jpeg.Encode(f, p, &jpeg.Options{Quality: 90})
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

func rgb(hex uint32) color.RGBA {
	return color.RGBA{uint8(hex >> 16), uint8(hex >> 8), uint8(hex), 255}
}

// shade is c a little darker and warmer.
func shade(c color.RGBA) color.RGBA {
	dim := func(v uint8, percent int) uint8 { return uint8(int(v) * percent / 100) }
	return color.RGBA{dim(c.R, 93), dim(c.G, 85), dim(c.B, 80), 255}
}
