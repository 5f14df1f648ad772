// Package track reads recorded journeys: GPX files, and files with one
// lat="…" lon="…" a line. A coordinate is kept as the text of its file, since
// the files hold more digits than a float64.
package track
