// Package lint finds resilience mistakes in manifests: what retries, time-outs,
// ejection and pools mean together, in the services' own library and in the
// mesh. Each finding names the file and line, what happens in numbers of the
// configuration, and what to write instead.
package lint
