// Package record defines the records of a comparison: one JSON object a line,
// from which every figure of a report is computed. The first line describes
// the comparison, the lines after it its runs.
package record
