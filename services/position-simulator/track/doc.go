// Package track reads recorded tracks: GPX files, and files with one lat="…" lon="…" per line. It keeps
// coordinates as text, because the files have more digits than a float64.
package track
