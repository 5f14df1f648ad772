// Package report computes the figures of comparisons from their records alone:
// the same records give the same report.
package report
