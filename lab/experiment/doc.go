// Package experiment reads experiments: files that say which arms meet which
// faults, under which load, and what must come out.
package experiment
