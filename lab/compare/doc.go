// Package compare runs arms (no resilience, the library, the mesh, ...) with the
// same faults under the same load, and writes records. Package report computes
// the figures from the records alone.
package compare
