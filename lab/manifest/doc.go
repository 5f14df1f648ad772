// Package manifest reads Kubernetes manifests (a kustomize directory, a
// directory of plain YAML, or files) into the objects of a fleet.
package manifest
