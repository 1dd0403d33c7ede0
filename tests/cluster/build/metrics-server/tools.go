// Package tools pins metrics-server: `go build sigs.k8s.io/metrics-server/cmd/metrics-server` in this folder.
package tools
