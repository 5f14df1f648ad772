// Package process starts programs that do not outlive this one, and supervises
// them: a program that ends is started again, with a back-off, until it is
// stopped.
package process
